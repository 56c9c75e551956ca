//! The load generator: a number of connections, each of which sends its next request when the
//! previous one is answered (a closed loop). It speaks as little HTTP as possible, because it
//! shares the cores with the server that is measured.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::BenchResult;
use crate::events::Events;

/// How long the last requests may take to be answered after the load has ended.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);

/// Open connections, and the index of the next event to send.
pub(crate) struct Client {
    connections: Vec<Connection>,
    events: Arc<Events>,
    next: Arc<AtomicUsize>,
}

/// The results of one load.
#[derive(Default)]
pub(crate) struct Load {
    /// The time of each acknowledged request, from its first byte sent to its last byte received.
    pub(crate) latencies: Vec<Duration>,
    /// The number of answers other than 2xx.
    pub(crate) rejected: u64,
    /// The number of requests that got no answer.
    pub(crate) failed: u64,
    /// The first rejection or failure, as text.
    pub(crate) first_error: Option<String>,
    /// From the first request to the last answer.
    pub(crate) elapsed: Duration,
    /// Whether all events were sent before the time was over.
    pub(crate) exhausted: bool,
}

impl Client {
    pub(crate) async fn connect(
        address: SocketAddr,
        connections: usize,
        events: Arc<Events>,
    ) -> io::Result<Self> {
        let mut open = Vec::with_capacity(connections);
        for _ in 0..connections {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let (out, response) = (Vec::with_capacity(4096), Vec::with_capacity(4096));
            open.push(Connection { stream, out, response });
        }
        Ok(Self { connections: open, events, next: Arc::default() })
    }

    /// Sends on all connections for `span`, then waits for the answers that are still missing.
    pub(crate) async fn drive(&mut self, span: Duration) -> BenchResult<Load> {
        let started = Instant::now();
        let mut tasks = JoinSet::new();
        for connection in self.connections.drain(..) {
            let (events, next) = (self.events.clone(), self.next.clone());
            tasks.spawn(connection.drive(events, next, started + span));
        }
        let mut load = Load::default();
        let collect = async {
            while let Some(joined) = tasks.join_next().await {
                let (connection, part) = joined?;
                self.connections.push(connection);
                load.add(part);
            }
            BenchResult::Ok(())
        };
        let late = |_| format!("answers were missing {DRAIN_TIMEOUT:?} after the last request");
        tokio::time::timeout(span + DRAIN_TIMEOUT, collect).await.map_err(late)??;
        load.elapsed = started.elapsed();
        load.latencies.sort_unstable();
        Ok(load)
    }
}

impl Load {
    pub(crate) fn acknowledged(&self) -> u64 {
        self.latencies.len() as u64
    }

    fn add(&mut self, part: Load) {
        self.latencies.extend(part.latencies);
        self.rejected += part.rejected;
        self.failed += part.failed;
        self.exhausted |= part.exhausted;
        self.first_error = self.first_error.take().or(part.first_error);
    }
}

struct Connection {
    stream: TcpStream,
    out: Vec<u8>,
    response: Vec<u8>,
}

impl Connection {
    async fn drive(
        mut self,
        events: Arc<Events>,
        next: Arc<AtomicUsize>,
        until: Instant,
    ) -> (Self, Load) {
        let mut load = Load::default();
        loop {
            if Instant::now() >= until {
                break;
            }
            if !events.request(next.fetch_add(1, Ordering::Relaxed), &mut self.out) {
                load.exhausted = true;
                break;
            }
            let started = Instant::now();
            match self.exchange().await {
                Ok(200..=299) => load.latencies.push(started.elapsed()),
                Ok(_) => {
                    load.rejected += 1;
                    let answer = String::from_utf8_lossy(&self.response);
                    load.first_error.get_or_insert_with(|| answer.trim().to_owned());
                }
                Err(error) => {
                    load.failed += 1;
                    load.first_error = Some(error.to_string());
                    break;
                }
            }
        }
        (self, load)
    }

    /// Sends the request in `out`, reads the complete response, and returns its status.
    async fn exchange(&mut self) -> io::Result<u16> {
        self.stream.write_all(&self.out).await?;
        self.response.clear();
        loop {
            if self.stream.read_buf(&mut self.response).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if let Some((status, length)) = parse_head(&self.response)? {
                while self.response.len() < length {
                    if self.stream.read_buf(&mut self.response).await? == 0 {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
                return Ok(status);
            }
        }
    }
}

/// Returns the status and the length of the response with its body; `None` while the head is not
/// complete.
fn parse_head(bytes: &[u8]) -> io::Result<Option<(u16, usize)>> {
    let unreadable =
        || io::Error::new(io::ErrorKind::InvalidData, "a response without Content-Length");
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(None);
    };
    let text = bytes.get(..end).and_then(|head| std::str::from_utf8(head).ok());
    let mut lines = text.ok_or_else(unreadable)?.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok());
    let length = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    match (status, length) {
        (Some(status), Some(length)) => Ok(Some((status, end + 4 + length))),
        _ => Err(unreadable()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_is_complete_after_its_content_length() {
        let answer = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\na: b\r\n\r\n{}";
        assert_eq!(parse_head(answer).unwrap(), Some((503, answer.len())));
        assert_eq!(parse_head(&answer[..30]).unwrap(), None);
        assert!(parse_head(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").is_err());
    }
}
