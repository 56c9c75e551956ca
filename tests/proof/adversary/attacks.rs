//! The attacks: what a hostile party sends, and how often.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout, timeout_at};

/// A schema that a validator without a bound evaluates twice per level of the body.
pub(crate) const RECURSIVE_SCHEMA: &str = r##"{
  "$defs": { "node": { "oneOf": [
    { "type": "object", "properties": { "a": { "$ref": "#/$defs/node" } }, "required": ["a"] },
    { "type": "object", "properties": { "a": { "$ref": "#/$defs/node" } }, "maxProperties": 9 },
    { "type": "integer" }
  ] } },
  "$ref": "#/$defs/node"
}"##;
/// Levels of the body for [`RECURSIVE_SCHEMA`]. Deeper bodies are not read.
pub(crate) const BODY_LEVELS: usize = 58;

/// The announced sizes of hoarded bodies, and how many connections hold one of that size. The large
/// ones, at the shipped limit of a source, leave 4 MiB of the shipped 64 MiB for bodies; each next
/// size fills what the one before it leaves.
const HOARDED_BODIES: [(usize, usize); 4] =
    [(10 * 1024 * 1024, 6), (64 * 1024, 64), (4 * 1024, 32), (256, 64)];
/// Pause between hoarded bodies of two sizes, in which those of the larger size arrive.
const HOARDING_PAUSE: Duration = Duration::from_millis(400);
/// New connections a second.
const CONNECTIONS_PER_SECOND: usize = 1200;
/// Addresses of the attack from many, from 127.0.0.2 on.
const HOSTILE_ADDRESSES: usize = 49;
/// Pause between two requests of one hostile connection.
const REQUEST_PAUSE: Duration = Duration::from_millis(5);
/// How long an answer is awaited.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
/// Items of a batch: the most that a provider accepts.
const BATCH_ITEMS: usize = 10_000;

/// What a server made of an attack.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Onslaught {
    /// Requests or connections.
    pub(crate) sent: usize,
    /// Longest time until a request was answered; of complete requests alone.
    pub(crate) slowest: Duration,
}

impl Onslaught {
    fn merge(self, other: Self) -> Self {
        Self { sent: self.sent + other.sent, slowest: self.slowest.max(other.slowest) }
    }
}

/// What one hostile party does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attack {
    /// Sends requests with wrong signatures.
    Forgeries,
    /// Sends all but the last byte of large bodies fast, and then nothing.
    HoardedBodies,
    /// Opens connections and sends nothing.
    SilentConnections,
    /// The same from many addresses.
    ManyAddresses,
    /// Opens connections and sends the start of a head.
    HalfHeads,
    /// Opens connections, sends one request on each, and keeps them.
    IdleConnections,
    /// Opens connections and sends a body on each, little faster than the slowest allowed pace.
    TricklingBodies,
    /// Sends one captured request again and again.
    Duplicates,
    /// Sends proven bodies that a recursive schema evaluates twice per level.
    RecursiveSchema,
    /// Sends proven batches whose items are judged by an expression.
    BatchesWithWhen,
}

impl Attack {
    pub(crate) const ALL: [Self; 10] = [
        Self::Forgeries,
        Self::HoardedBodies,
        Self::SilentConnections,
        Self::ManyAddresses,
        Self::HalfHeads,
        Self::IdleConnections,
        Self::TricklingBodies,
        Self::Duplicates,
        Self::RecursiveSchema,
        Self::BatchesWithWhen,
    ];

    /// How long the attack takes to have an effect. Silent connections reach the shipped limit of
    /// 10,000 after 9 s, before the first of them is closed for its silence.
    pub(crate) fn min_duration(self) -> Duration {
        match self {
            Self::SilentConnections
            | Self::ManyAddresses
            | Self::HalfHeads
            | Self::IdleConnections
            | Self::TricklingBodies => Duration::from_secs(13),
            _ => Duration::ZERO,
        }
    }

    /// The source of an attack whose requests are proven: they must be answered in time, too, and
    /// are stored.
    pub(crate) fn proven_source(self) -> Option<&'static str> {
        match self {
            Self::RecursiveSchema => Some("partner"),
            Self::BatchesWithWhen => Some("batches"),
            _ => None,
        }
    }

    /// Attacks a server for this time.
    pub(crate) async fn run(self, target: SocketAddr, duration: Duration) -> Onslaught {
        let until = Instant::now() + duration;
        match self {
            Self::Forgeries => repeat(target, 8, forged_request(), until).await,
            Self::HoardedBodies => hoard_bodies(target, until).await,
            Self::SilentConnections => connect_and_keep(target, until, 1, b"", b"").await,
            Self::ManyAddresses => {
                connect_and_keep(target, until, HOSTILE_ADDRESSES, b"", b"").await
            }
            Self::HalfHeads => {
                let head = request_head("stripe", 1, &[]);
                connect_and_keep(target, until, 1, &head.as_bytes()[..60], b"").await
            }
            Self::IdleConnections => {
                let request = b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n";
                connect_and_keep(target, until, 1, request, b"").await
            }
            Self::TricklingBodies => {
                let head = request_head("stripe", 60_000, &[("stripe-signature", &forged_tag())]);
                connect_and_keep(target, until, 1, head.as_bytes(), &[b'x'; 1500]).await
            }
            Self::Duplicates => repeat(target, 2, captured_request(), until).await,
            Self::RecursiveSchema => {
                repeat(target, 4, partner_request("recursive", &nested_body()), until).await
            }
            Self::BatchesWithWhen => repeat(target, 2, batch_request(), until).await,
        }
    }
}

impl fmt::Display for Attack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Forgeries => "forgeries",
            Self::HoardedBodies => "hoarded bodies",
            Self::SilentConnections => "silent connections",
            Self::ManyAddresses => "silent connections from 49 addresses",
            Self::HalfHeads => "half heads",
            Self::IdleConnections => "idle connections",
            Self::TricklingBodies => "trickling bodies",
            Self::Duplicates => "duplicates",
            Self::RecursiveSchema => "recursive schema",
            Self::BatchesWithWhen => "batches with `when`",
        })
    }
}

/// Sends a request again and again, on this many connections at the same time. The last request is
/// awaited.
async fn repeat(
    target: SocketAddr,
    connections: usize,
    request: Vec<u8>,
    until: Instant,
) -> Onslaught {
    let mut senders = JoinSet::new();
    for _ in 0..connections {
        let request = request.clone();
        senders.spawn(async move {
            let mut onslaught = Onslaught::default();
            while Instant::now() < until {
                let start = Instant::now();
                let _ = timeout(ANSWER_TIMEOUT, send_and_read(target, &request)).await;
                onslaught = onslaught.merge(Onslaught { sent: 1, slowest: start.elapsed() });
                sleep(REQUEST_PAUSE).await;
            }
            onslaught
        });
    }
    senders.join_all().await.into_iter().fold(Onslaught::default(), Onslaught::merge)
}

/// Sends one request, and reads until the server closes.
async fn send_and_read(target: SocketAddr, request: &[u8]) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(target).await?;
    let _ = stream.set_zero_linger();
    stream.write_all(request).await?;
    let mut answer = [0; 1024];
    let _ = stream.read(&mut answer).await?;
    Ok(())
}

/// Holds unfinished bodies; a connection that the server closes is replaced.
async fn hoard_bodies(target: SocketAddr, until: Instant) -> Onslaught {
    let mut hoarders = JoinSet::new();
    for (size, count) in HOARDED_BODIES {
        for _ in 0..count {
            hoarders.spawn(async move {
                let mut sent = 0;
                while Instant::now() < until {
                    let _ = timeout_at(until, hoard_body(target, size)).await;
                    sent += 1;
                    sleep(REQUEST_PAUSE).await;
                }
                sent
            });
        }
        // The small ones would otherwise leave too little for the last large one.
        sleep(HOARDING_PAUSE).await;
    }
    let sent = hoarders.join_all().await.into_iter().sum();
    Onslaught { sent, slowest: Duration::ZERO }
}

/// Sends a body of this size fast but for its last byte, and waits until the server closes.
async fn hoard_body(target: SocketAddr, size: usize) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(target).await?;
    let _ = stream.set_zero_linger();
    let head = request_head("stripe", size, &[("stripe-signature", &forged_tag())]);
    stream.write_all(head.as_bytes()).await?;
    let chunk = [b'x'; 64 * 1024];
    let mut left = size - 1;
    while left > 0 {
        let part = chunk.get(..left.min(chunk.len())).unwrap_or(&chunk);
        stream.write_all(part).await?;
        left -= part.len();
    }
    let mut answer = [0; 1024];
    while stream.read(&mut answer).await? > 0 {}
    Ok(())
}

/// Opens connections at a steady pace, sends the first bytes on each, and the later bytes once a
/// second. Keeps each open until the end, or until the server closes it. From one address it is that
/// of the genuine sender.
async fn connect_and_keep(
    target: SocketAddr,
    until: Instant,
    addresses: usize,
    first: &[u8],
    later: &'static [u8],
) -> Onslaught {
    let mut open = JoinSet::new();
    let tick = Duration::from_millis(10);
    let mut next = Instant::now();
    let mut sent = 0;
    while Instant::now() < until {
        for _ in 0..CONNECTIONS_PER_SECOND / 100 {
            let source = if addresses == 1 { 1 } else { 2 + sent % addresses };
            let connected = timeout_at(until, connect_from(source, target)).await;
            if let Ok(Ok(mut stream)) = connected {
                let _ = stream.set_zero_linger();
                let _ = stream.write_all(first).await;
                open.spawn(async move {
                    let _ = timeout_at(until, keep_open(stream, later)).await;
                });
                sent += 1;
            }
        }
        next += tick;
        tokio::time::sleep_until(next).await;
    }
    Onslaught { sent, slowest: Duration::ZERO }
}

/// Connects from an address of the loopback network, 127.0.0.`source`.
async fn connect_from(source: usize, target: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    let last = u8::try_from(source).unwrap_or(1);
    socket.bind(SocketAddr::from(([127, 0, 0, last], 0)))?;
    socket.connect(target).await
}

/// Sends these bytes once a second, and reads, until the server closes the connection.
async fn keep_open(mut stream: TcpStream, later: &[u8]) {
    let (mut reading, mut writing) = stream.split();
    let write = async {
        while !later.is_empty() && writing.write_all(later).await.is_ok() {
            sleep(Duration::from_secs(1)).await;
        }
        std::future::pending::<()>().await;
    };
    let read = async {
        let mut buffer = [0; 512];
        while reading.read(&mut buffer).await.is_ok_and(|n| n > 0) {}
    };
    tokio::select! {
        () = write => {}
        () = read => {}
    }
}

fn request_head(source: &str, length: usize, headers: &[(&str, &str)]) -> String {
    let mut head = format!(
        "POST /webhooks/{source} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n"
    );
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    head
}

/// A signature header with the present time and a wrong tag.
fn forged_tag() -> String {
    format!("t={},v1={}", crate::sender::now().as_secs(), "0".repeat(64))
}

fn forged_request() -> Vec<u8> {
    let body = r#"{"id":"evt_forged","type":"payment_intent.succeeded"}"#;
    let head = request_head("stripe", body.len(), &[("stripe-signature", &forged_tag())]);
    format!("{head}{body}").into_bytes()
}

/// A genuine request that was captured.
fn captured_request() -> Vec<u8> {
    let signed = crate::sender::paid("evt_captured");
    let headers: Vec<_> = signed.headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    let mut request = request_head("stripe", signed.body.len(), &headers).into_bytes();
    request.extend_from_slice(&signed.body);
    request
}

/// A proven request of the partner, which always has the same id.
fn partner_request(event_type: &str, body: &str) -> Vec<u8> {
    let headers =
        [("x-token", "adversary-partner"), ("x-type", event_type), ("x-id", "evt_partner")];
    format!("{}{body}", request_head("partner", body.len(), &headers)).into_bytes()
}

/// A body of [`BODY_LEVELS`] nested objects.
pub(crate) fn nested_body() -> String {
    format!("{}1{}", r#"{"a":"#.repeat(BODY_LEVELS), "}".repeat(BODY_LEVELS))
}

fn batch_request() -> Vec<u8> {
    let text = "abcdefghijklmnopqrstuvwxyz".repeat(20);
    let items: Vec<_> = (0..BATCH_ITEMS)
        .map(|n| format!(r#"{{"type":"t","id":"{n}","text":"{n}{text}"}}"#))
        .collect();
    let body = format!(r#"{{"items":[{}]}}"#, items.join(","));
    let head = request_head("batches", body.len(), &[("x-token", "adversary-partner")]);
    format!("{head}{body}").into_bytes()
}
