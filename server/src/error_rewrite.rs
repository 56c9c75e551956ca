//! Answers that the HTTP library gives by itself, to what it cannot read: it sends them without a
//! body. Called by the socket, which puts in their place an answer in the form of all refusals.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whose answer is written next: the service says when it has one.
#[derive(Debug, Clone, Default)]
pub(crate) struct ResponseOrigin(Arc<AtomicBool>);

impl ResponseOrigin {
    /// The service has answered; what is written next is its head.
    pub(crate) fn is_the_services(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether the service has not answered since the last look.
    pub(crate) fn is_the_librarys(&self) -> bool {
        !self.0.swap(false, Ordering::Relaxed)
    }
}

/// An answer in the place of the library's, and how much of it is out.
#[derive(Debug)]
pub(crate) struct ErrorRewrite {
    text: &'static str,
    written: usize,
}

/// By the start of the library's answer: with the same status, and words.
const ANSWERS: [(&[u8], &str); 3] = [
    (
        b"HTTP/1.1 400 ",
        "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: 50\r\n\
         connection: close\r\n\r\n{\"error\":\"Malformed request\",\"code\":\"BAD_REQUEST\"}",
    ),
    (
        b"HTTP/1.1 414 ",
        "HTTP/1.1 414 URI Too Long\r\ncontent-type: application/json\r\ncontent-length: 49\r\n\
         connection: close\r\n\r\n{\"error\":\"Target too long\",\"code\":\"URI_TOO_LONG\"}",
    ),
    (
        b"HTTP/1.1 431 ",
        "HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: application/json\r\n\
         content-length: 54\r\nconnection: close\r\n\r\n\
         {\"error\":\"Header too large\",\"code\":\"HEADER_TOO_LARGE\"}",
    ),
];

impl ErrorRewrite {
    /// What takes the place of these bytes, if they are a whole answer without a body to something
    /// that could not be read.
    pub(crate) fn in_place_of(bytes: &[u8]) -> Option<Self> {
        let (_, text) = ANSWERS.iter().find(|(start, _)| bytes.starts_with(start))?;
        let head = std::str::from_utf8(bytes).ok()?.strip_suffix("\r\n\r\n")?;
        let has = |line: &str| head.split("\r\n").any(|l| l.eq_ignore_ascii_case(line));
        let bare = has("content-length: 0") && has("connection: close");
        bare.then_some(Self { text, written: 0 })
    }

    /// What is still to be written.
    pub(crate) fn left(&self) -> &'static [u8] {
        self.text.as_bytes().get(self.written..).unwrap_or_default()
    }

    /// So much more of it is out.
    pub(crate) fn written(&mut self, bytes: usize) {
        self.written += bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_answer_says_its_own_length() {
        for (start, text) in ANSWERS {
            assert!(text.as_bytes().starts_with(start));
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            assert!(head.contains(&format!("\r\ncontent-length: {}\r\n", body.len())), "{text}");
            assert!(body.starts_with(r#"{"error":""#) && body.ends_with("\"}"));
        }
    }

    #[test]
    fn only_bare_answers_are_replaced() {
        let bare = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\ndate: x\r\n\r\n";
        let own = ErrorRewrite::in_place_of(bare).unwrap();
        assert!(own.left().starts_with(b"HTTP/1.1 400 "));
        for other in [
            &b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"[..],
            b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 10\r\n\r\n",
            b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n",
            b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n",
        ] {
            assert!(ErrorRewrite::in_place_of(other).is_none());
        }
    }
}
