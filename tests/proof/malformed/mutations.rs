//! Random mutations of valid requests. A seed makes the same mutations each time.

/// Valid requests.
const VALID_REQUESTS: [&str; 7] = [
    "POST /webhooks/open HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 17\r\n\r\n{\"id\":1,\"a\":true}",
    "POST /webhooks/open HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{\"a\":\r\n3\r\n12}\r\n0\r\n\r\n",
    "POST /webhooks/stripe HTTP/1.1\r\nhost: x\r\nstripe-signature: t=1760000000,v1=0000000000000000000000000000000000000000000000000000000000000000\r\ncontent-length: 2\r\n\r\n{}",
    "POST /webhooks/github HTTP/1.1\r\nhost: x\r\nx-github-event: push\r\nx-github-delivery: 1\r\nx-hub-signature-256: sha256=0000000000000000000000000000000000000000000000000000000000000000\r\ncontent-length: 2\r\n\r\n{}",
    "POST /webhooks/open HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\nconnection: keep-alive\r\ncontent-length: 2\r\n\r\n[]",
    "GET /health HTTP/1.1\r\nhost: x\r\naccept: */*\r\n\r\n",
    "POST /webhooks/open HTTP/1.0\r\nconnection: close\r\ncontent-length: 4\r\n\r\nnull",
];

/// Header lines that have broken servers before.
const HEADER_LINES: [&[u8]; 30] = [
    b"content-length: 0",
    b"content-length: 5",
    b"content-length: +2",
    b"content-length: 2, 2",
    b"content-length: 18446744073709551616",
    b"content-length: 4294967297",
    b"Content-Length : 2",
    b"transfer-encoding: chunked",
    b"transfer-encoding: identity",
    b"transfer-encoding: gzip, chunked",
    b"transfer-encoding: \x0bchunked",
    b"Transfer-Encoding: chunked, chunked",
    b"transfer_encoding: chunked",
    b"host: y",
    b"host:",
    b" folded",
    b"\tfolded",
    b"expect: nothing",
    b"expect: 100-continue",
    b"connection: upgrade",
    b"upgrade: websocket",
    b"upgrade: h2c",
    b"connection: close, host",
    b"content-encoding: gzip",
    b"content-type: \xff\xfe",
    b"stripe-signature: v1,",
    b"x-hub-signature-256: sha256=",
    b"x\0y: z",
    b": nothing",
    b"",
];

/// Fragments that have broken servers before.
const FRAGMENTS: [&[u8]; 24] = [
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b"\r\n\r\n",
    b"\n\n",
    b" ",
    b"\t",
    b":",
    b"0\r\n\r\n",
    b"FFFFFFFFFFFFFFFF\r\n",
    b"-1\r\n",
    b"7fffffff\r\n",
    b"%00",
    b"/../",
    b"\xc3\x28",
    b"\xff",
    b"HTTP/9.9",
    b"HTTP/1.0",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"\x16\x03\x01",
    b"http://y",
    b"[[[[[[[[[[[[[[[[",
    b"\"a\":1,\"a\":2",
];

/// A generator of mutated requests.
#[derive(Debug)]
pub(crate) struct Mutations(fastrand::Rng);

impl Mutations {
    pub(crate) fn new(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }

    /// Returns the bytes of one connection, and the number of requests that they were made from.
    pub(crate) fn next_requests(&mut self) -> (Vec<u8>, usize) {
        let count = self.0.usize(1..=4);
        let mut all = Vec::new();
        for _ in 0..count {
            let mut one = self.valid_request();
            for _ in 0..self.0.usize(1..=3) {
                self.mutate(&mut one);
            }
            all.extend_from_slice(&one);
        }
        (all, count)
    }

    fn valid_request(&mut self) -> Vec<u8> {
        VALID_REQUESTS[self.0.usize(..VALID_REQUESTS.len())].as_bytes().to_vec()
    }

    fn mutate(&mut self, bytes: &mut Vec<u8>) {
        let at = self.0.usize(..=bytes.len());
        let end = (at + self.0.usize(1..=20)).min(bytes.len());
        match self.0.u8(..13) {
            0 => bytes.iter_mut().skip(at).take(1).for_each(|b| *b = self.0.u8(..)),
            1 => bytes.iter_mut().skip(at).take(1).for_each(|b| *b ^= 1 << self.0.u8(..8)),
            2 => bytes.insert(at, self.0.u8(..)),
            3 => drop(bytes.drain(at..end)),
            4 => bytes.truncate(at),
            5 => {
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
            6 => {
                let fragment = FRAGMENTS[self.0.usize(..FRAGMENTS.len())];
                bytes.splice(at..at, fragment.iter().copied());
            }
            7 | 8 => self.insert_header_line(bytes),
            9 => {
                let other = self.valid_request();
                let from = self.0.usize(..=other.len());
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
            10 => {
                let text = String::from_utf8_lossy(bytes).replace("\r\n", "\n");
                *bytes = text.into_bytes();
            }
            11 => {
                let long = vec![self.0.u8(b' '..=b'~'); 1 << self.0.u32(4..16)];
                bytes.splice(at..at, long);
            }
            _ => bytes.iter_mut().skip(at).take(end - at).for_each(|b| b.make_ascii_uppercase()),
        }
    }

    /// Inserts a header line, at times hundreds of times.
    fn insert_header_line(&mut self, bytes: &mut Vec<u8>) {
        let starts: Vec<usize> = bytes
            .windows(2)
            .enumerate()
            .filter(|(_, w)| w == b"\r\n")
            .map(|(n, _)| n + 2)
            .collect();
        let at = self.0.choice(starts).unwrap_or(0);
        let line = [HEADER_LINES[self.0.usize(..HEADER_LINES.len())], b"\r\n"].concat();
        let times = if self.0.u8(..20) == 0 { self.0.usize(1..300) } else { 1 };
        bytes.splice(at..at, line.repeat(times));
    }
}
