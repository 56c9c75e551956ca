//! Follows where the requests on a connection begin and end, to find those that another HTTP
//! implementation could delimit differently (request smuggling): Transfer-Encoding beside
//! Content-Length, Content-Length twice, and lines that end in a bare line feed. hyper accepts them
//! and hides them. After such a request the connection is closed, because what follows it could be
//! part of it; with `server.strict_framing` the request is rejected.
//!
//! It looks at bytes on their way to hyper and decides nothing about them that hyper has to share:
//! where both read a request differently, it is malformed or ambiguous, and closes the connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use memchr::memchr;

/// The bytes of a line that are kept. More than a header needs that delimits a body.
const MAX_KEPT_LINE_BYTES: usize = 128;

const BARE_LINE_FEED: &str = "A line of the head ends in a bare line feed";
const TWO_LENGTHS: &str = "A request has one Content-Length";
const LENGTH_AND_CODING: &str = "Transfer-Encoding and Content-Length exclude each other";

/// What the service and the connection know of the requests so far. Requests of a connection are
/// numbered from 0.
#[derive(Debug, Clone)]
pub(crate) struct FramingReport(Arc<Numbers>);

#[derive(Debug)]
struct Numbers {
    begun: AtomicUsize,
    first_ambiguous: AtomicUsize,
}

impl Default for FramingReport {
    fn default() -> Self {
        let first_ambiguous = AtomicUsize::new(usize::MAX);
        Self(Arc::new(Numbers { begun: AtomicUsize::new(0), first_ambiguous }))
    }
}

impl FramingReport {
    /// The number of the request whose head is complete.
    pub(crate) fn begin_request(&self) -> usize {
        self.0.begun.fetch_add(1, Ordering::Relaxed)
    }

    /// Whether the connection must be closed after the answer to this request.
    pub(crate) fn closes_after(&self, request: usize) -> bool {
        request >= self.0.first_ambiguous.load(Ordering::Relaxed)
    }
}

/// Follows the bytes of one connection.
#[derive(Debug)]
pub(crate) struct FramingMonitor {
    is_strict: bool,
    report: FramingReport,
    /// The number of the request that is being followed.
    request: usize,
    position: Position,
    /// The present line without its end, cut.
    line: Vec<u8>,
    line_bytes: usize,
    head: Head,
    rejection: Option<&'static str>,
}

/// What the head has said about the body.
#[derive(Debug, Default)]
struct Head {
    has_begun: bool,
    length: Option<u64>,
    has_coding: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Position {
    Head,
    /// The number of bytes of a body that are still to come.
    Body(u64),
    ChunkSize,
    /// The number of bytes of a chunk, and of the end of its line, that are still to come.
    Chunk(u64),
    Trailers,
    /// The connection will be closed, so nothing is followed any more.
    End,
}

impl FramingMonitor {
    pub(crate) fn new(is_strict: bool, report: FramingReport) -> Self {
        Self {
            is_strict,
            report,
            request: 0,
            position: Position::Head,
            line: Vec::new(),
            line_bytes: 0,
            head: Head::default(),
            rejection: None,
        }
    }

    /// Why the last request was made unreadable for hyper, whose 400 says it.
    pub(crate) fn rejection(&self) -> Option<&'static str> {
        self.rejection
    }

    /// Follows the next bytes of the connection. If it is strict, it makes the head of an ambiguous
    /// request unreadable, so that hyper rejects it.
    pub(crate) fn follow(&mut self, bytes: &mut [u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            match &mut self.position {
                Position::End => return,
                Position::Body(left) | Position::Chunk(left) => {
                    let skipped = usize::try_from(*left).unwrap_or(usize::MAX).min(rest.len());
                    *left -= skipped as u64;
                    if *left == 0 {
                        match self.position {
                            Position::Chunk(_) => self.position = Position::ChunkSize,
                            _ => self.begin_head(),
                        }
                    }
                    rest = rest.split_at_mut(skipped).1;
                }
                Position::Head | Position::ChunkSize | Position::Trailers => {
                    let Some(at) = memchr(b'\n', rest) else { return self.keep(rest) };
                    let (line, after) = rest.split_at_mut(at + 1);
                    if let Some((end, text)) = line.split_last_mut()
                        && let Some(reason) = self.end_line(text)
                    {
                        self.mark_ambiguous(reason, end);
                    }
                    rest = after;
                }
            }
        }
    }

    /// Keeps a part of a line.
    fn keep(&mut self, part: &[u8]) {
        // Its last byte as well, which says how the line ends.
        let room = MAX_KEPT_LINE_BYTES.saturating_sub(self.line.len());
        self.line.extend_from_slice(part.get(..room.min(part.len())).unwrap_or_default());
        if let (Some(last), Some(kept)) = (part.last(), self.line.last_mut()) {
            *kept = *last;
        }
        self.line_bytes += part.len();
    }

    /// Handles a complete line, whose last part is `part`. Returns why it makes the request
    /// ambiguous.
    fn end_line(&mut self, part: &[u8]) -> Option<&'static str> {
        // Mostly a whole line is there, and need not be kept.
        if self.line.is_empty() {
            return self.handle_line(part, part.len() > MAX_KEPT_LINE_BYTES);
        }
        self.keep(part);
        let line = std::mem::take(&mut self.line);
        let is_cut = std::mem::take(&mut self.line_bytes) > MAX_KEPT_LINE_BYTES;
        self.handle_line(&line, is_cut)
    }

    fn handle_line(&mut self, line: &[u8], is_cut: bool) -> Option<&'static str> {
        let Some(text) = line.strip_suffix(b"\r") else { return Some(BARE_LINE_FEED) };
        let is_empty = text.is_empty();
        match self.position {
            Position::Head if is_empty => {
                // Empty lines before a request are not part of it (RFC 9112, 2.2).
                if self.head.has_begun {
                    self.end_head();
                }
                None
            }
            Position::Head if !self.head.has_begun => {
                self.head.has_begun = true;
                None
            }
            Position::Head => self.head.read(text, is_cut),
            Position::ChunkSize => {
                self.position = match chunk_size(text) {
                    // hyper answers 400 and closes the connection.
                    None => Position::End,
                    Some(0) => Position::Trailers,
                    Some(size) => Position::Chunk(size.saturating_add(2)),
                };
                None
            }
            _ => {
                if is_empty {
                    self.begin_head();
                }
                None
            }
        }
    }

    fn end_head(&mut self) {
        match (&self.head.has_coding, self.head.length) {
            (true, _) => self.position = Position::ChunkSize,
            (false, Some(length)) if length > 0 => self.position = Position::Body(length),
            (false, _) => self.begin_head(),
        }
    }

    fn begin_head(&mut self) {
        self.request += 1;
        self.head = Head::default();
        self.position = Position::Head;
    }

    /// `line_end` is the line feed of the line that makes the request ambiguous.
    fn mark_ambiguous(&mut self, reason: &'static str, line_end: &mut u8) {
        self.report.0.first_ambiguous.fetch_min(self.request, Ordering::Relaxed);
        self.position = Position::End;
        if self.is_strict {
            // No part of a head may have this byte, so hyper rejects the head immediately.
            *line_end = b'\0';
            self.rejection = Some(reason);
        }
    }
}

impl Head {
    /// Reads a header line. Returns why it makes the request ambiguous.
    fn read(&mut self, line: &[u8], is_cut: bool) -> Option<&'static str> {
        // Only these two headers matter; most others are passed over by their first letter.
        if !matches!(line.first(), Some(b'c' | b'C' | b't' | b'T')) {
            return None;
        }
        let colon = line.iter().position(|byte| *byte == b':')?;
        let (name, value) = line.split_at(colon);
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        if name.eq_ignore_ascii_case(b"transfer-encoding") {
            self.has_coding = true;
        } else if name.eq_ignore_ascii_case(b"content-length") {
            if self.length.is_some() || is_cut {
                return Some(TWO_LENGTHS);
            }
            // A value that is not a number is rejected by hyper.
            let number = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
            self.length = Some(number.unwrap_or(0));
        }
        (self.has_coding && self.length.is_some()).then_some(LENGTH_AND_CODING)
    }
}

/// The size at the start of a chunk's first line.
fn chunk_size(line: &[u8]) -> Option<u64> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let digits = std::str::from_utf8(line.get(..digits)?).ok()?;
    u64::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Follows these bytes in pieces of each size; returns the first ambiguous request and the
    /// reason for its rejection, both the same for all sizes.
    fn follow(bytes: &[u8]) -> (Option<usize>, Option<&'static str>) {
        let mut found = Vec::new();
        for size in [1, 2, 3, 7, 64, bytes.len()] {
            for is_strict in [false, true] {
                let report = FramingReport::default();
                let mut monitor = FramingMonitor::new(is_strict, report.clone());
                let mut followed = bytes.to_vec();
                followed.chunks_mut(size).for_each(|piece| monitor.follow(piece));
                assert_eq!(followed != bytes, is_strict && monitor.rejection().is_some());
                let first = report.0.first_ambiguous.load(Ordering::Relaxed);
                found.push(((first < usize::MAX).then_some(first), monitor.rejection()));
            }
        }
        let (lax, strict) = (found[0], found[1]);
        assert!(found.chunks(2).all(|pair| pair == [lax, strict]), "{found:?}");
        assert_eq!((lax.0, lax.1), (strict.0, None));
        strict
    }

    const CLEAR: (Option<usize>, Option<&str>) = (None, None);

    #[test]
    fn requests_that_are_delimited_once_are_clear() {
        let get = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";
        assert_eq!(follow(get.repeat(3).as_bytes()), CLEAR);
        // Line feeds in a body are content.
        let post = "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 6\r\n\r\n{\n\n\n}\n";
        assert_eq!(follow(post.repeat(3).as_bytes()), CLEAR);
        let chunked = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\n\n\n\n\r\nA\r\n0123\n56789\r\n0\r\nx: y\r\n\r\n";
        assert_eq!(follow(format!("{chunked}\r\n{post}{get}").as_bytes()), CLEAR);
        let long = format!("GET /{} HTTP/1.1\r\nx: {}\r\n\r\n", "a".repeat(500), "b".repeat(500));
        assert_eq!(follow(long.repeat(2).as_bytes()), CLEAR);
    }

    #[test]
    fn a_bare_line_feed_in_a_head_is_ambiguous() {
        let clear = "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{\n";
        for head in [
            "GET / HTTP/1.1\nhost: x\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: x\n\r\n",
            "GET / HTTP/1.1\r\nhost: x\r\n\n",
            "\nGET / HTTP/1.1\r\nhost: x\r\n\r\n",
        ] {
            assert_eq!(follow(head.as_bytes()), (Some(0), Some(BARE_LINE_FEED)), "{head:?}");
            let third = format!("{clear}{clear}{head}{clear}");
            assert_eq!(follow(third.as_bytes()), (Some(2), Some(BARE_LINE_FEED)), "{head:?}");
        }
        let trailer = "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n0\r\nx: y\n\r\n";
        assert_eq!(follow(trailer.as_bytes()), (Some(0), Some(BARE_LINE_FEED)));
    }

    #[test]
    fn two_lengths_of_a_body_are_ambiguous() {
        let with = |headers: &str| format!("POST / HTTP/1.1\r\nhost: x\r\n{headers}\r\n0\r\n\r\n");
        for headers in [
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            "transfer-encoding: chunked\r\ncontent-length:5\r\n",
            "content-length: 0\r\ntransfer-encoding: chunked\r\n",
        ] {
            let found = follow(with(headers).as_bytes());
            assert_eq!(found, (Some(0), Some(LENGTH_AND_CODING)), "{headers:?}");
        }
        let twice = with("content-length: 5\r\nContent-Length: 5\r\n");
        assert_eq!(follow(twice.as_bytes()), (Some(0), Some(TWO_LENGTHS)));
        let long = with(&format!("content-length: {}5\r\n", "0".repeat(MAX_KEPT_LINE_BYTES)));
        assert_eq!(follow(long.as_bytes()), (Some(0), Some(TWO_LENGTHS)));
    }

    #[test]
    fn the_connection_is_closed_after_the_ambiguous_request_and_not_before() {
        let report = FramingReport::default();
        let mut monitor = FramingMonitor::new(false, report.clone());
        let mut bytes = *b"GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\n\n";
        monitor.follow(&mut bytes);
        let (first, second) = (report.begin_request(), report.begin_request());
        assert!(!report.closes_after(first) && report.closes_after(second));
    }
}
