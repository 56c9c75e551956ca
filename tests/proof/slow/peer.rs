//! Hostile peers of one kind each: what they send, how slowly, and how long a server bears them.

use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::Instant;

/// Watched for so long; a server that keeps one longer keeps it for ever, as far as this sees.
const WATCHED: Duration = Duration::from_secs(18);

/// What the server with TLS shows, and its key.
pub(crate) const CERTIFICATE: &str = include_str!("../../e2e/tls/one.pem");
pub(crate) const KEY: &str = include_str!("../../e2e/tls/one.key.pem");

/// A whole request.
const UNKNOWN: &[u8] = b"POST /webhooks/nobody HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n";

/// What a peer does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Connects and is silent.
    Silent,
    /// Sends the start of a head.
    HalfHead,
    /// Sends most of a head that is as long as a head may be.
    LargeHalfHead,
    /// Sends a head, a byte each second.
    TricklingHead,
    /// Announces a body and sends its start.
    HalfBody,
    /// Sends a body at just the pace that is allowed.
    TricklingBody,
    /// Sends a request and never reads its answer.
    Unread,
    /// The same, where the answer is larger than what sockets hold.
    LargeUnread,
    /// Sends the start of a TLS ClientHello.
    Hello,
    /// Sends a whole ClientHello, and nothing after it.
    WholeHello,
    /// Shakes hands, then sends the start of a head.
    HalfHeadInTls,
}

/// How long one was kept; `None`: longer than it watched.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kept {
    pub(crate) kind: Kind,
    pub(crate) span: Option<Duration>,
}

/// One of them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer {
    kind: Kind,
    seed: u64,
}

/// So many peers, mixed: of 15, ten with heads, two with bodies, two that do not read, one with TLS.
pub(crate) fn peers(chance: &mut fastrand::Rng, count: usize) -> Vec<Peer> {
    use Kind::{HalfBody, HalfHead, Hello, LargeHalfHead, Silent, TricklingBody, TricklingHead};
    let heads = [Silent, HalfHead, LargeHalfHead, TricklingHead];
    let kind = |n: usize| match n % 15 {
        0..7 => HalfHead,
        7..10 => heads[n / 15 % heads.len()],
        10 => HalfBody,
        11 => TricklingBody,
        12 | 13 => Kind::Unread,
        _ => Hello,
    };
    let mut all: Vec<_> = (0..count).map(|n| Peer::new(kind(n), chance.u64(..))).collect();
    chance.shuffle(&mut all);
    all
}

/// So many peers of a server that speaks TLS.
pub(crate) fn tls_peers(chance: &mut fastrand::Rng, count: usize) -> Vec<Peer> {
    use Kind::{HalfHead, HalfHeadInTls, Hello, Silent, WholeHello};
    let kinds = [Silent, Hello, WholeHello, WholeHello, HalfHeadInTls, HalfHead];
    (0..count).map(|n| Peer::new(kinds[n % kinds.len()], chance.u64(..))).collect()
}

impl Peer {
    pub(crate) fn new(kind: Kind, seed: u64) -> Self {
        Self { kind, seed }
    }

    /// Connects, behaves so, and says how long it was kept.
    pub(crate) async fn run(self, addr: SocketAddr) -> Result<Kept, String> {
        let mut stream = self.connect(addr).await.map_err(|e| format!("cannot connect: {e}"))?;
        let start = Instant::now();
        let end = tokio::time::timeout(WATCHED, self.behave(&mut stream)).await;
        // No trace is left in the kernel's tables: there are only so many ports.
        let _ = stream.set_zero_linger();
        Ok(Kept { kind: self.kind, span: end.ok().map(|()| start.elapsed()) })
    }

    async fn connect(self, addr: SocketAddr) -> std::io::Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        if matches!(self.kind, Kind::Unread | Kind::LargeUnread) {
            socket.set_recv_buffer_size(4096)?;
        }
        socket.connect(addr).await
    }

    /// Ends when the server has closed the connection.
    async fn behave(self, stream: &mut TcpStream) {
        let mut chance = fastrand::Rng::with_seed(self.seed);
        let head = "POST /webhooks/stripe HTTP/1.1\r\nhost: x\r\n";
        let signature = format!("stripe-signature: t=1,v1={}\r\n", "0".repeat(64));
        match self.kind {
            Kind::Silent => {}
            Kind::HalfHead => {
                let cut = chance.usize(1..head.len());
                let _ = stream.write_all(&head.as_bytes()[..cut]).await;
            }
            Kind::LargeHalfHead => {
                let large = format!("{head}x-note: {}", "a".repeat(15_000));
                let _ = stream.write_all(large.as_bytes()).await;
            }
            Kind::TricklingHead => return trickle(stream, head.as_bytes(), 1).await,
            Kind::HalfBody => {
                let request = format!("{head}{signature}content-length: 100000\r\n\r\nabc");
                let _ = stream.write_all(request.as_bytes()).await;
            }
            Kind::TricklingBody => {
                let request = format!("{head}{signature}content-length: 1000000\r\n\r\n");
                let _ = stream.write_all(request.as_bytes()).await;
                return trickle(stream, &[b'a'; 40_000], 1500).await;
            }
            Kind::Unread | Kind::LargeUnread => {
                // An unknown source: a failed proof would count against the honest senders of here.
                let _ = stream.write_all(UNKNOWN).await;
                return gone(stream).await;
            }
            Kind::Hello => {
                // A record of 512 bytes, of which these are the first.
                let _ = stream.write_all(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03").await;
            }
            Kind::WholeHello => {
                let mut hello = Vec::new();
                let _ = tls_client().write_tls(&mut hello);
                let _ = stream.write_all(&hello).await;
            }
            Kind::HalfHeadInTls => return half_head_in_tls(stream).await,
        }
        drain(stream).await;
    }
}

fn tls_client() -> ClientConnection {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(CERTIFICATE.as_bytes()).expect("PEM"))
        .expect("a root");
    let config = ClientConfig::builder_with_provider(ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").expect("a name");
    ClientConnection::new(config.into(), name).expect("a client")
}

/// Whoever is shaken hands with has shown that it is there; it is closed all the same.
async fn half_head_in_tls(stream: &mut TcpStream) {
    let mut tls = tls_client();
    let mut scrap = [0; 4096];
    while tls.is_handshaking() || tls.wants_write() {
        let mut out = Vec::new();
        while tls.wants_write() {
            let _ = tls.write_tls(&mut out);
        }
        if stream.write_all(&out).await.is_err() || !tls.is_handshaking() {
            break;
        }
        match stream.read(&mut scrap).await {
            Ok(n) if n > 0 => {
                let _ = tls.read_tls(&mut &scrap[..n]);
                tls.process_new_packets().expect("a server that speaks TLS");
            }
            _ => return,
        }
    }
    let _ = tls.writer().write_all(b"POST /webhooks/str");
    let mut out = Vec::new();
    let _ = tls.write_tls(&mut out);
    let _ = stream.write_all(&out).await;
    drain(stream).await;
}

/// So many bytes each second, until the server has closed.
async fn trickle(stream: &mut TcpStream, bytes: &[u8], pace: usize) {
    let (mut reading, mut writing) = stream.split();
    let write = async {
        for piece in bytes.chunks(pace) {
            if writing.write_all(piece).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        std::future::pending().await
    };
    let read = async {
        let mut scrap = [0; 512];
        while reading.read(&mut scrap).await.is_ok_and(|n| n > 0) {}
    };
    tokio::select! {
        () = write => {}
        () = read => {}
    }
}

/// Reads until the server has closed.
async fn drain(stream: &mut TcpStream) {
    let mut scrap = [0; 512];
    while stream.read(&mut scrap).await.is_ok_and(|n| n > 0) {}
}

/// Reads nothing; when it should be over, a write tells whether the other side is there.
async fn gone(stream: &mut TcpStream) {
    tokio::time::sleep(Duration::from_secs(10)).await;
    loop {
        tokio::time::sleep(Duration::from_millis(200)).await;
        // A line break between requests means nothing, to a server that is there.
        if stream.try_write(b"\n").is_err_and(|e| e.kind() != std::io::ErrorKind::WouldBlock) {
            return;
        }
    }
}
