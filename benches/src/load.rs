//! The load generator: so many connections, each of which sends its next request once the last one is
//! answered. It speaks just enough HTTP to stay out of the way: it shares the cores with the server.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::Outcome;
use crate::events::Events;

/// How long the requests under way may still take once no more are sent.
const LAST_ANSWERS: Duration = Duration::from_secs(30);

/// Open connections and the events that were not sent yet.
pub(crate) struct Client {
    connections: Vec<Connection>,
    events: Arc<Events>,
    next: Arc<AtomicUsize>,
}

/// What came of a load.
#[derive(Default)]
pub(crate) struct Load {
    /// Of each acknowledged request, from its first byte sent to its last byte received.
    pub(crate) latencies: Vec<Duration>,
    /// Answers other than 2xx.
    pub(crate) refused: u64,
    /// Requests without an answer.
    pub(crate) broken: u64,
    /// The first of these, in words.
    pub(crate) trouble: Option<String>,
    /// From the first request to the last answer.
    pub(crate) elapsed: Duration,
    /// The events were used up before the time was.
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
            let (out, inbox) = (Vec::with_capacity(4096), Vec::with_capacity(4096));
            open.push(Connection { stream, out, inbox });
        }
        Ok(Self { connections: open, events, next: Arc::default() })
    }

    /// Sends on all connections for that long, and waits for what is then still under way.
    pub(crate) async fn drive(&mut self, span: Duration) -> Outcome<Load> {
        let started = Instant::now();
        let mut driven = JoinSet::new();
        for connection in self.connections.drain(..) {
            let (events, next) = (self.events.clone(), self.next.clone());
            driven.spawn(connection.drive(events, next, started + span));
        }
        let mut load = Load::default();
        let all = async {
            while let Some(joined) = driven.join_next().await {
                let (connection, part) = joined?;
                self.connections.push(connection);
                load.add(part);
            }
            Outcome::Ok(())
        };
        let late = |_| format!("answers were missing {LAST_ANSWERS:?} after the last request");
        tokio::time::timeout(span + LAST_ANSWERS, all).await.map_err(late)??;
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
        self.refused += part.refused;
        self.broken += part.broken;
        self.exhausted |= part.exhausted;
        self.trouble = self.trouble.take().or(part.trouble);
    }
}

struct Connection {
    stream: TcpStream,
    out: Vec<u8>,
    inbox: Vec<u8>,
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
                    load.refused += 1;
                    let answer = String::from_utf8_lossy(&self.inbox);
                    load.trouble.get_or_insert_with(|| answer.trim().to_owned());
                }
                Err(error) => {
                    load.broken += 1;
                    load.trouble = Some(error.to_string());
                    break;
                }
            }
        }
        (self, load)
    }

    /// Sends what is in `out` and takes the whole answer in; its status.
    async fn exchange(&mut self) -> io::Result<u16> {
        self.stream.write_all(&self.out).await?;
        self.inbox.clear();
        loop {
            if self.stream.read_buf(&mut self.inbox).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if let Some((status, length)) = head(&self.inbox)? {
                while self.inbox.len() < length {
                    if self.stream.read_buf(&mut self.inbox).await? == 0 {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
                return Ok(status);
            }
        }
    }
}

/// Status, and how long the answer is with its body; `None` while the head is not complete.
fn head(bytes: &[u8]) -> io::Result<Option<(u16, usize)>> {
    let unreadable = || io::Error::new(io::ErrorKind::InvalidData, "an answer without a length");
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
    fn an_answer_is_complete_when_its_length_says_so() {
        let answer = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\na: b\r\n\r\n{}";
        assert_eq!(head(answer).unwrap(), Some((503, answer.len())));
        assert_eq!(head(&answer[..30]).unwrap(), None);
        assert!(head(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").is_err());
    }
}
