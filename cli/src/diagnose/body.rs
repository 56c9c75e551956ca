//! Mistakes with the body: the signature covers its exact bytes, and something changed them on the way.

use data_encoding::HEXLOWER_PERMISSIVE;
use http::header;

use super::{Guess, Trial, rewrite};

const ADVICE: &str = "Pass on the raw bytes as they were received";

/// A newline added or lost, or a body that continues beyond its Content-Length.
pub(super) fn trailing_bytes<'a>(trial: &Trial<'a>) -> Vec<Guess<'a>> {
    let body = trial.request.body.bytes().as_ref();
    let mut changes: Vec<(Vec<u8>, String)> = Vec::new();
    let added = |bytes_name: &str| {
        format!(
            "The signature fits the body without {bytes_name}: an editor, a log or a shell added that after the sender signed. {ADVICE}."
        )
    };
    let lost = |bytes_name: &str| {
        format!(
            "The signature fits the body with {bytes_name} at its end: something trimmed the body after the sender signed. {ADVICE}."
        )
    };
    for (end, name) in
        [(&b"\r\n"[..], "the CRLF newline at its end"), (b"\n", "the newline at its end")]
    {
        if let Some(cut) = body.strip_suffix(end) {
            changes.push((cut.to_vec(), added(name)));
        }
    }
    changes.push((body.trim_ascii_end().to_vec(), added("the white space at its end")));
    changes.push((body.trim_ascii().to_vec(), added("the white space around it")));
    changes.push(([body, b"\n"].concat(), lost("a newline")));
    changes.push(([body, b"\r\n"].concat(), lost("a CRLF newline")));
    let length = content_length(trial).filter(|length| *length < body.len());
    if let Some(cut) = length.and_then(|length| body.get(..length)) {
        let explanation = format!(
            "The signature fits the body cut at its Content-Length: the bytes after it are not the sender's. {ADVICE}."
        );
        changes.push((cut.to_vec(), explanation));
    }
    to_guesses(trial, changes)
}

/// Converted line ends and character sets, and the markers of chunked transfer.
pub(super) fn converted_text<'a>(trial: &Trial<'a>) -> Vec<Guess<'a>> {
    let body = trial.request.body.bytes().as_ref();
    let lf: Vec<u8> = strip_cr(body);
    let crlf: Vec<u8> = lf
        .iter()
        .flat_map(|b| if *b == b'\n' { &b"\r\n"[..] } else { std::slice::from_ref(b) })
        .copied()
        .collect();
    let explain = |change: &str, cause: &str| {
        format!("The signature fits the body {change}: {cause}. {ADVICE}.")
    };
    let mut changes = vec![
        (
            lf,
            explain(
                "with LF for every CRLF",
                "something converted its line ends, as file transfers and Git do",
            ),
        ),
        (
            crlf,
            explain(
                "with CRLF for every LF",
                "something converted its line ends, as editors and Git do",
            ),
        ),
    ];
    if let Some(rest) = body.strip_prefix(b"\xef\xbb\xbf") {
        changes.push((
            rest.to_vec(),
            explain("without the byte order mark at its start", "an editor added it"),
        ));
    }
    if let Some(bytes) = from_latin1(body) {
        changes.push((
            bytes,
            explain(
                "before it was read as Latin-1 and written as UTF-8",
                "something treated it as text of another character set",
            ),
        ));
    }
    if let Some(bytes) = to_latin1(body) {
        changes.push((bytes, explain("in Latin-1", "something converted it to UTF-8")));
    }
    if let Some(bytes) = decode_chunked(body) {
        changes.push((
            bytes,
            explain(
                "without the markers of chunked transfer",
                "the capture has the bytes of the connection, not of the body",
            ),
        ));
    }
    to_guesses(trial, changes)
}

/// The body as other programs would serialise the same JSON.
pub(super) fn reserialized<'a>(trial: &Trial<'a>) -> Vec<Guess<'a>> {
    let explanation = |how: &str| {
        format!(
            "The signature fits the same JSON {how}: something parsed the body and wrote it again after the sender signed (re-serialised it). {ADVICE}, and let nothing parse them before verification."
        )
    };
    let forms = rewrite::forms(trial.request.body.bytes());
    to_guesses(trial, forms.into_iter().map(|(bytes, how)| (bytes, explanation(&how))).collect())
}

/// An empty body.
pub(super) fn empty<'a>(trial: &Trial<'a>) -> Vec<Guess<'a>> {
    let explanation = "The signature is that of an empty body: the sender signed before the body was set, or after it was read.".to_owned();
    to_guesses(trial, vec![(Vec::new(), explanation)])
}

/// The value of Content-Length.
pub(super) fn content_length(trial: &Trial<'_>) -> Option<usize> {
    trial.request.head.headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn to_guesses<'a>(trial: &Trial<'a>, changes: Vec<(Vec<u8>, String)>) -> Vec<Guess<'a>> {
    let different = changes.into_iter().filter(|(bytes, _)| bytes != trial.request.body.bytes());
    different
        .map(|(bytes, explanation)| Guess { trial: trial.with_body(bytes), explanation })
        .collect()
}

fn strip_cr(body: &[u8]) -> Vec<u8> {
    let mut bytes = body.iter().copied().peekable();
    let mut out = Vec::with_capacity(body.len());
    while let Some(byte) = bytes.next() {
        if byte != b'\r' || bytes.peek() != Some(&b'\n') {
            out.push(byte);
        }
    }
    out
}

/// The bytes before they were read as Latin-1 and written as UTF-8.
fn from_latin1(body: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(body).ok().filter(|text| !text.is_ascii())?;
    let bytes: Vec<u8> =
        text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect::<Option<_>>()?;
    std::str::from_utf8(&bytes).is_ok().then_some(bytes)
}

fn to_latin1(body: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(body).ok().filter(|text| !text.is_ascii())?;
    text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect()
}

/// The decoded chunks, if the whole body is chunked transfer coding.
fn decode_chunked(body: &[u8]) -> Option<Vec<u8>> {
    let mut rest = body;
    let mut out = Vec::new();
    loop {
        let end = rest.windows(2).position(|w| w == b"\r\n").filter(|end| (1..=8).contains(end))?;
        let digits = format!("{:0>8}", std::str::from_utf8(rest.get(..end)?).ok()?);
        let size = HEXLOWER_PERMISSIVE.decode(digits.as_bytes()).ok()?;
        let size = size.iter().fold(0_usize, |size, byte| (size << 8) | usize::from(*byte));
        rest = rest.get(end + 2..)?;
        if size == 0 {
            return Some(out);
        }
        out.extend_from_slice(rest.get(..size)?);
        rest = rest.get(size..)?.strip_prefix(b"\r\n")?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_complete_chunked_body_is_decoded() {
        assert_eq!(
            decode_chunked(b"3\r\nabc\r\na\r\n0123456789\r\n0\r\n\r\n").unwrap(),
            b"abc0123456789"
        );
        for other in [&b"{}"[..], b"", b"5\r\nabc\r\n", b"ffffffff\r\na", b"zz\r\nab\r\n0\r\n"] {
            assert_eq!(decode_chunked(other), None);
        }
    }

    #[test]
    fn character_set_conversions_are_undone() {
        assert_eq!(from_latin1("Ã©".as_bytes()).unwrap(), "é".as_bytes());
        assert_eq!(from_latin1("é".as_bytes()), None);
        assert_eq!(to_latin1("é".as_bytes()).unwrap(), b"\xe9");
        assert_eq!(strip_cr(b"a\r\nb\rc\r\n"), b"a\nb\rc\n");
    }
}
