//! One exchange with a server: bytes out, the sending side closed, and everything that comes back until
//! the server closes, too. For requests that are none, and for more requests than a server can bear.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// `code` of its body.
    pub(crate) code: Option<String>,
    /// When to come back.
    pub(crate) retry_after: Option<u64>,
}

/// What an exchange must not end with.
#[derive(Debug)]
pub(crate) enum Fault {
    /// Neither answered nor closed in time.
    Hangs,
    /// No connection.
    Gone(std::io::Error),
    /// What came back is not HTTP.
    Garbled(String),
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Hangs => write!(f, "not closed in time"),
            Self::Gone(e) => write!(f, "no connection: {e}"),
            Self::Garbled(text) => write!(f, "an answer that is not HTTP: {text:?}"),
        }
    }
}

/// All answers to these bytes, from a server that has closed after so long.
pub(crate) async fn exchange(
    addr: &str,
    bytes: &[u8],
    patience: Duration,
) -> Result<Vec<Answer>, Fault> {
    let mut stream = TcpStream::connect(addr).await.map_err(Fault::Gone)?;
    let mut back = Vec::new();
    let both = async {
        let (mut reading, mut writing) = stream.split();
        // A server that has refused need not read the rest.
        let write = async {
            let _ = writing.write_all(bytes).await;
            let _ = writing.shutdown().await;
        };
        let (_, read) = tokio::join!(write, reading.read_to_end(&mut back));
        let _ = read;
    };
    let ended = tokio::time::timeout(patience, both).await;
    // No trace is left in the kernel's tables: there are only so many ports.
    let _ = stream.set_zero_linger();
    ended.map_err(|_| Fault::Hangs)?;
    answers(&back).map_err(|at| Fault::Garbled(String::from_utf8_lossy(&back[at..]).into_owned()))
}

/// One after the other, by their lengths; or where the bytes make no sense.
fn answers(mut bytes: &[u8]) -> Result<Vec<Answer>, usize> {
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
        all.push(Answer { status, code, retry_after: number("retry-after: ") });
        bytes = &bytes[end + length..];
    }
    Ok(all)
}
