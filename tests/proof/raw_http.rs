//! An HTTP client for bytes that are not valid HTTP and for overload: it sends bytes, closes the
//! sending side, and reads all answers until the server closes the connection.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// One HTTP answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The `code` member of a JSON body.
    pub(crate) code: Option<String>,
    /// Seconds in the Retry-After header.
    pub(crate) retry_after: Option<u64>,
    /// Whether a Connection header says that the connection is closed.
    pub(crate) closes: bool,
}

/// A failed exchange.
#[derive(Debug)]
pub(crate) enum ExchangeError {
    /// The server did not close the connection in time.
    Hangs,
    /// The connection failed.
    NoConnection(std::io::Error),
    /// The answer is not HTTP.
    NotHttp(String),
}

impl std::fmt::Display for ExchangeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Hangs => write!(f, "not closed in time"),
            Self::NoConnection(e) => write!(f, "no connection: {e}"),
            Self::NotHttp(text) => write!(f, "an answer that is not HTTP: {text:?}"),
        }
    }
}

/// Sends bytes and returns all answers. A server that has not closed the connection within
/// `timeout` hangs.
pub(crate) async fn exchange(
    addr: &str,
    bytes: &[u8],
    timeout: Duration,
) -> Result<Vec<Answer>, ExchangeError> {
    let mut stream = TcpStream::connect(addr).await.map_err(ExchangeError::NoConnection)?;
    let mut back = Vec::new();
    let both = async {
        let (mut reading, mut writing) = stream.split();
        // A server that has rejected the request may close without reading the rest.
        let write = async {
            let _ = writing.write_all(bytes).await;
            let _ = writing.shutdown().await;
        };
        let (_, read) = tokio::join!(write, reading.read_to_end(&mut back));
        let _ = read;
    };
    let ended = tokio::time::timeout(timeout, both).await;
    // A reset instead of TIME_WAIT, because thousands of connections would use up the ports.
    let _ = stream.set_zero_linger();
    ended.map_err(|_| ExchangeError::Hangs)?;
    // The SETTINGS frame before GOAWAY, with which the preface of HTTP/2 is rejected.
    if bytes.starts_with(b"PRI * HTTP/2.0\r\n\r\n") && back.starts_with(b"\0\0\0\x04\0\0\0\0\0") {
        return Ok(Vec::new());
    }
    parse_answers(&back)
        .map_err(|at| ExchangeError::NotHttp(String::from_utf8_lossy(&back[at..]).into_owned()))
}

/// Parses answers by their Content-Length; an error is the offset of bytes that are not HTTP.
fn parse_answers(mut bytes: &[u8]) -> Result<Vec<Answer>, usize> {
    let whole = bytes.len();
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let at = whole - bytes.len();
        let end = bytes.windows(4).position(|w| w == b"\r\n\r\n").ok_or(at)? + 4;
        let head = std::str::from_utf8(&bytes[..end]).map_err(|_| at)?;
        let status = head.strip_prefix("HTTP/1.1 ").or_else(|| head.strip_prefix("HTTP/1.0 "));
        let status = status.and_then(|rest| rest.get(..3)?.parse().ok()).ok_or(at)?;
        let number = |name: &str| {
            let line = head.lines().find_map(|line| line.strip_prefix(name))?;
            line.trim().parse::<u64>().ok()
        };
        let length = number("content-length: ").and_then(|n| usize::try_from(n).ok()).unwrap_or(0);
        let body = bytes.get(end..end + length).ok_or(at)?;
        let json = serde_json::from_slice::<serde_json::Value>(body).unwrap_or_default();
        let code = json["code"].as_str().map(str::to_owned);
        let closes = head.lines().any(|line| line.eq_ignore_ascii_case("connection: close"));
        all.push(Answer { status, code, retry_after: number("retry-after: "), closes });
        bytes = &bytes[end + length..];
    }
    Ok(all)
}
