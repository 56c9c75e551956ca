//! Parser of `.http` files, which hold one captured HTTP/1.1 request. Used by `hookward verify`.

use std::fmt;

use bytes::Bytes;
use hookward_core::{Body, Head, Request};
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};

/// A captured request, with the scheme and host of the URL that it was sent to.
#[derive(Debug, Clone)]
pub(crate) struct Captured {
    pub(crate) request: Request,
    /// Taken from an absolute URL in the first line, otherwise `https://` and the Host header.
    pub(crate) public_url: Option<String>,
}

/// Where and why a file is not a request. The message has names and positions, never values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HttpFileError {
    /// Line number, from 1.
    pub(crate) line: usize,
    pub(crate) message: String,
}

impl fmt::Display for HttpFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

/// Parses a file. Lines of the head end in LF or CRLF. The body is every byte after the first empty line.
pub(crate) fn parse(file: &[u8]) -> Result<Captured, HttpFileError> {
    let file = Bytes::copy_from_slice(file);
    if file.starts_with(b"\xef\xbb\xbf") {
        return Err(at(1, "the file starts with a byte order mark; save it without one"));
    }
    let mut rest = file.clone();
    let first = take_line(&mut rest).ok_or_else(|| at(1, "the file is empty or has no head"))?;
    let (method, url) = request_line(&first)?;
    let mut headers = HeaderMap::new();
    for number in 2.. {
        let Some(line) = take_line(&mut rest) else {
            let message =
                "the head ends without an empty line after it; what follows that line is the body";
            return Err(at(number, message));
        };
        if line.is_empty() {
            break;
        }
        let (name, value) = header_line(&line).map_err(|message| at(number, message))?;
        headers.try_append(name, value).map_err(|_| at(number, "there are too many headers"))?;
    }
    let host = headers.get(header::HOST).and_then(|h| h.to_str().ok());
    let (public_url, target) = match url.split_at(origin_len(&url)) {
        ("", target) => (host.map(|host| format!("https://{host}")), target),
        (origin, target) => (Some(origin.to_owned()), target),
    };
    let head = Head::new(method, target.to_owned(), headers);
    Ok(Captured { request: Request::new(head, Body::new(rest)), public_url })
}

fn at(line: usize, message: impl Into<String>) -> HttpFileError {
    HttpFileError { line, message: message.into() }
}

/// Takes one line from the front of `rest`, without its line end. `None` if `rest` has no line end.
fn take_line(rest: &mut Bytes) -> Option<Bytes> {
    let end = rest.iter().position(|b| *b == b'\n')?;
    let line = rest.split_to(end + 1);
    let line = line.slice(..end);
    Some(if line.ends_with(b"\r") { line.slice(..line.len() - 1) } else { line })
}

fn request_line(line: &[u8]) -> Result<(Method, String), HttpFileError> {
    const FORM: &str = "the first line must be METHOD URL HTTP/1.1, such as `POST https://hooks.example.com/webhooks/stripe HTTP/1.1`";
    let text = std::str::from_utf8(line).map_err(|_| at(1, FORM))?;
    let words: Vec<&str> = text.split(' ').collect();
    let [method, url, version] = words.as_slice() else { return Err(at(1, FORM)) };
    if !version.starts_with("HTTP/") {
        return Err(at(1, FORM));
    }
    let method = Method::from_bytes(method.as_bytes()).map_err(|_| at(1, FORM))?;
    let absolute = url.starts_with("http://") || url.starts_with("https://");
    let visible = url.bytes().all(|b| b.is_ascii_graphic());
    if !visible || !(absolute || url.starts_with('/')) {
        return Err(at(
            1,
            "the URL must be absolute, such as https://hooks.example.com/webhooks/stripe, or start with a slash; other characters than visible ASCII are percent-encoded",
        ));
    }
    Ok((method, (*url).to_owned()))
}

fn header_line(line: &[u8]) -> Result<(HeaderName, HeaderValue), String> {
    if line.starts_with(b" ") || line.starts_with(b"\t") {
        return Err("a header line starts with white space; a header is one line".to_owned());
    }
    let colon = line.iter().position(|b| *b == b':');
    let Some((name, value)) = colon.and_then(|c| Some((line.get(..c)?, line.get(c + 1..)?))) else {
        return Err(
            "there is no colon; a header is NAME: VALUE, and an empty line separates the head from the body"
                .to_owned(),
        );
    };
    let name = HeaderName::from_bytes(name)
        .map_err(|_| "the text before the colon is not a header name".to_owned())?;
    let value = HeaderValue::from_bytes(value.trim_ascii())
        .map_err(|_| format!("the value of {name} has control characters"))?;
    Ok((name, value))
}

/// Length of scheme and host at the start of a URL; 0 if the URL starts with a slash.
fn origin_len(url: &str) -> usize {
    let Some(host) = url.find("://").filter(|_| !url.starts_with('/')).map(|at| at + 3) else {
        return 0;
    };
    let path = url.get(host..).and_then(|rest| rest.find(['/', '?']));
    path.map_or(url.len(), |at| host + at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn head_lines_end_in_lf_or_crlf_and_the_body_keeps_every_byte() {
        for end in ["\n", "\r\n"] {
            let file = format!(
                "POST https://h.example:8443/a?b=c HTTP/1.1{end}X-One:  1 {end}x-two: a:b{end}{end}\r\n{{}}\r\n\0"
            );
            let Captured { request, public_url } = parse(file.as_bytes()).unwrap();
            assert_eq!(public_url.as_deref(), Some("https://h.example:8443"));
            assert_eq!(request.head.target, "/a?b=c");
            assert_eq!(request.head.single("x-one"), Ok(Some("1")));
            assert_eq!(request.head.single("X-Two"), Ok(Some("a:b")));
            assert_eq!(request.body.bytes().as_ref(), b"\r\n{}\r\n\0");
        }
    }

    #[test]
    fn a_relative_target_takes_its_host_from_the_host_header() {
        let captured = parse(b"POST /in?u=http://x/ HTTP/1.1\nHost: h.example\n\n").unwrap();
        assert_eq!(captured.public_url.as_deref(), Some("https://h.example"));
        assert_eq!(captured.request.head.target, "/in?u=http://x/");
        assert_eq!(parse(b"POST /in HTTP/1.1\n\n").unwrap().public_url, None);
    }

    #[test]
    fn a_malformed_file_is_reported_with_its_line() {
        for (file, line, word) in [
            (&b""[..], 1, "empty"),
            (b"\xef\xbb\xbfPOST / HTTP/1.1\n\n", 1, "byte order mark"),
            (b"POST /\n\n", 1, "first line"),
            (b"POST  / HTTP/1.1\n\n", 1, "first line"),
            (b"P(ST / HTTP/1.1\n\n", 1, "first line"),
            (b"\xff\xfe / HTTP/1.1\n\n", 1, "first line"),
            (b"POST example.com HTTP/1.1\n\n", 1, "absolute"),
            (b"POST /\xc3\xa9 HTTP/1.1\n\n", 1, "percent-encoded"),
            (b"POST / HTTP/1.1\nA: 1\n{}\n\n", 3, "no colon"),
            (b"POST / HTTP/1.1\nA: 1\n b\n\n", 3, "white space"),
            (b"POST / HTTP/1.1\nA B: 1\n\n", 2, "not a header name"),
            (b"POST / HTTP/1.1\nA: \x01\n\n", 2, "control"),
            (b"POST / HTTP/1.1\nA: 1\n", 3, "empty line"),
            (b"POST / HTTP/1.1\nA: 1", 2, "empty line"),
        ] {
            let error = parse(file).unwrap_err();
            assert_eq!(error.line, line, "{error}");
            assert!(error.message.contains(word), "{error}");
        }
    }

    #[test]
    fn no_input_makes_the_parser_panic() {
        let many = "a:b\n".repeat(40_000);
        let full = format!("POST / HTTP/1.1\n{}\n", many);
        let _ = parse(full.as_bytes());
        let good = b"POST https://h/ HTTP/1.1\r\nA: 1\r\n\r\nbody";
        for cut in 0..good.len() {
            let _ = parse(&good[..cut]);
            for byte in 0..=255 {
                let mut changed = good.to_vec();
                changed[cut] = byte;
                let _ = parse(&changed);
            }
        }
    }
}
