//! Gives hyper's own error responses a body. To a head that it cannot parse, hyper answers by
//! itself with a bare 400, 414 or 431; [`PrefixedIo`](crate::prefixed_io) recognises such a
//! response as it is written and sends this server's form of the error instead.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use hookward_engine::ingest::Rejection;

use crate::response;

/// Who made the response that a connection writes next: the service or hyper itself. Shared by the
/// service, which marks its responses, and the connection, which reads the mark.
#[derive(Debug, Clone, Default)]
pub(crate) struct ResponseOrigin(Arc<AtomicBool>);

impl ResponseOrigin {
    /// Marks the next response as the service's.
    pub(crate) fn mark_service(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Returns whether the next response is hyper's own, and clears the mark: one mark stands for
    /// one response.
    pub(crate) fn take_is_hyper(&self) -> bool {
        !self.0.swap(false, Ordering::Relaxed)
    }
}

/// The response that replaces one of hyper's, and how much of it is written.
#[derive(Debug)]
pub(crate) struct ErrorRewrite {
    bytes: Bytes,
    written: usize,
}

impl ErrorRewrite {
    /// Returns the replacement for `bytes` if they are a whole error response of hyper without a
    /// body. `ambiguity` is the reason of a 400, if it is not that hyper cannot parse the head.
    pub(crate) fn for_response(bytes: &[u8], ambiguity: Option<&'static str>) -> Option<Self> {
        let rejection = rejection_for(bytes, ambiguity)?;
        let head = std::str::from_utf8(bytes).ok()?.strip_suffix("\r\n\r\n")?;
        let has_line = |line: &str| head.split("\r\n").any(|l| l.eq_ignore_ascii_case(line));
        let is_bare = has_line("content-length: 0") && has_line("connection: close");
        is_bare.then(|| Self { bytes: response::into_http1_bytes(&rejection.reply()), written: 0 })
    }

    /// The bytes that are still to be written.
    pub(crate) fn remaining(&self) -> &[u8] {
        self.bytes.get(self.written..).unwrap_or_default()
    }

    /// Counts `bytes` more as written.
    pub(crate) fn advance(&mut self, bytes: usize) {
        self.written += bytes;
    }
}

/// The rejection with the status of a response that hyper makes by itself.
fn rejection_for(response: &[u8], ambiguity: Option<&'static str>) -> Option<Rejection> {
    let status = response.strip_prefix(b"HTTP/1.1 ")?.get(..4)?;
    match status {
        b"400 " => Some(Rejection::Malformed(ambiguity.unwrap_or("Malformed request"))),
        b"414 " => Some(Rejection::TargetTooLong),
        b"431 " => Some(Rejection::HeaderTooLarge),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_error_of_hyper_is_replaced_by_one_with_a_body() {
        for (status, body) in [
            ("400 Bad Request", r#"{"error":"Malformed request","code":"BAD_REQUEST"}"#),
            ("414 URI Too Long", r#"{"error":"Target too long","code":"URI_TOO_LONG"}"#),
            (
                "431 Request Header Fields Too Large",
                r#"{"error":"Header too large","code":"HEADER_TOO_LARGE"}"#,
            ),
        ] {
            let bare = format!(
                "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: 0\r\ndate: x\r\n\r\n"
            );
            let rewrite = ErrorRewrite::for_response(bare.as_bytes(), None).unwrap();
            let expected = format!(
                "HTTP/1.1 {status}\r\ncontent-type: application/json\r\n\
                 content-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
            assert_eq!(std::str::from_utf8(rewrite.remaining()).unwrap(), expected);
        }
    }

    #[test]
    fn responses_with_a_body_or_of_the_service_are_not_replaced() {
        for other in [
            &b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"[..],
            b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 10\r\n\r\n",
            b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n",
            b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n",
        ] {
            assert!(ErrorRewrite::for_response(other, None).is_none());
        }
    }
}
