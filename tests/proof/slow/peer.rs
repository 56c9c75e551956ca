//! Hostile peers: what each sends, how slowly, and when the server closes it.

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

/// A connection that is open for this time counts as never closed.
const WATCH_DURATION: Duration = Duration::from_secs(18);

/// The certificate and the key of the server with TLS.
pub(crate) const CERTIFICATE: &str = include_str!("../../e2e/tls/one.pem");
pub(crate) const KEY: &str = include_str!("../../e2e/tls/one.key.pem");

/// A whole request to an unknown source.
const UNKNOWN_SOURCE_REQUEST: &[u8] =
    b"POST /webhooks/nobody HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n";

/// What a peer sends and reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Behavior {
    /// Connects and sends nothing.
    Silent,
    /// Sends the start of a head.
    HalfHead,
    /// Sends most of a head of the largest allowed size.
    LargeHalfHead,
    /// Sends a head at one byte a second.
    TricklingHead,
    /// Announces a body and sends its start.
    HalfBody,
    /// Sends a body at the slowest allowed pace.
    TricklingBody,
    /// Sends a body in chunks of one byte, and little faster than the slowest allowed pace.
    ByteChunks,
    /// Sends a request and never reads its answer.
    Unread,
    /// Sends many requests at once and never reads their answers.
    PipelinedUnread,
    /// Sends a request and never reads an answer that is larger than the socket buffers.
    LargeUnread,
    /// Sends the start of a TLS ClientHello.
    HalfHello,
    /// Sends a whole ClientHello, and nothing after it.
    WholeHello,
    /// Completes the TLS handshake, then sends the start of a head.
    HalfHeadInTls,
}

/// The end of a peer's connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Connection {
    pub(crate) behavior: Behavior,
    /// Time until the server closed it; `None`: it was open for [`WATCH_DURATION`].
    pub(crate) closed_after: Option<Duration>,
}

/// One hostile peer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer {
    behavior: Behavior,
    seed: u64,
}

/// Returns shuffled peers: of 15, ten with unfinished heads, two with unfinished bodies, two that
/// do not read, and one with TLS.
pub(crate) fn peers(rng: &mut fastrand::Rng, count: usize) -> Vec<Peer> {
    use Behavior::{
        ByteChunks, HalfBody, HalfHead, HalfHello, LargeHalfHead, PipelinedUnread, Silent,
        TricklingBody, TricklingHead,
    };
    let heads = [Silent, HalfHead, LargeHalfHead, TricklingHead];
    let kind = |n: usize| match n % 15 {
        0..7 => HalfHead,
        7..10 => heads[n / 15 % heads.len()],
        10 => HalfBody,
        11 => [TricklingBody, ByteChunks][n / 15 % 2],
        12 => Behavior::Unread,
        13 => PipelinedUnread,
        _ => HalfHello,
    };
    let mut all: Vec<_> = (0..count).map(|n| Peer::new(kind(n), rng.u64(..))).collect();
    rng.shuffle(&mut all);
    all
}

/// Returns peers for a server with TLS.
pub(crate) fn tls_peers(rng: &mut fastrand::Rng, count: usize) -> Vec<Peer> {
    use Behavior::{HalfHead, HalfHeadInTls, HalfHello, Silent, WholeHello};
    let kinds = [Silent, HalfHello, WholeHello, WholeHello, HalfHeadInTls, HalfHead];
    (0..count).map(|n| Peer::new(kinds[n % kinds.len()], rng.u64(..))).collect()
}

impl Peer {
    pub(crate) fn new(behavior: Behavior, seed: u64) -> Self {
        Self { behavior, seed }
    }

    /// Connects, behaves, and returns when the server closed the connection.
    pub(crate) async fn run(self, addr: SocketAddr) -> Result<Connection, String> {
        let mut stream = self.connect(addr).await.map_err(|e| format!("cannot connect: {e}"))?;
        let start = Instant::now();
        let end = tokio::time::timeout(WATCH_DURATION, self.behave(&mut stream)).await;
        // A reset instead of TIME_WAIT, because thousands of connections would use up the ports.
        let _ = stream.set_zero_linger();
        let closed_after = end.ok().map(|()| start.elapsed());
        Ok(Connection { behavior: self.behavior, closed_after })
    }

    async fn connect(self, addr: SocketAddr) -> std::io::Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        use Behavior::{LargeUnread, PipelinedUnread, Unread};
        if matches!(self.behavior, Unread | LargeUnread | PipelinedUnread) {
            socket.set_recv_buffer_size(4096)?;
        }
        socket.connect(addr).await
    }

    /// Returns when the server has closed the connection.
    async fn behave(self, stream: &mut TcpStream) {
        let mut rng = fastrand::Rng::with_seed(self.seed);
        let head = "POST /webhooks/stripe HTTP/1.1\r\nhost: x\r\n";
        let signature = format!("stripe-signature: t=1,v1={}\r\n", "0".repeat(64));
        match self.behavior {
            Behavior::Silent => {}
            Behavior::HalfHead => {
                let cut = rng.usize(1..head.len());
                let _ = stream.write_all(&head.as_bytes()[..cut]).await;
            }
            Behavior::LargeHalfHead => {
                let large = format!("{head}x-note: {}", "a".repeat(15_000));
                let _ = stream.write_all(large.as_bytes()).await;
            }
            Behavior::TricklingHead => return trickle(stream, head.as_bytes(), 1).await,
            Behavior::HalfBody => {
                let request = format!("{head}{signature}content-length: 100000\r\n\r\nabc");
                let _ = stream.write_all(request.as_bytes()).await;
            }
            Behavior::TricklingBody => {
                let request = format!("{head}{signature}content-length: 1000000\r\n\r\n");
                let _ = stream.write_all(request.as_bytes()).await;
                return trickle(stream, &[b'a'; 40_000], 1500).await;
            }
            Behavior::ByteChunks => {
                let request = format!("{head}{signature}transfer-encoding: chunked\r\n\r\n");
                let _ = stream.write_all(request.as_bytes()).await;
                return trickle(stream, &b"1\r\na\r\n".repeat(12_000), 6 * 1200).await;
            }
            Behavior::PipelinedUnread => {
                let _ = stream.write_all(&UNKNOWN_SOURCE_REQUEST.repeat(100)).await;
                return wait_until_closed(stream).await;
            }
            Behavior::Unread | Behavior::LargeUnread => {
                // Failed verifications would block this address, which the genuine senders share.
                let _ = stream.write_all(UNKNOWN_SOURCE_REQUEST).await;
                return wait_until_closed(stream).await;
            }
            Behavior::HalfHello => {
                // The first bytes of a record of 512 bytes.
                let _ = stream.write_all(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03").await;
            }
            Behavior::WholeHello => {
                let mut hello = Vec::new();
                let _ = tls_client().write_tls(&mut hello);
                let _ = stream.write_all(&hello).await;
            }
            Behavior::HalfHeadInTls => return half_head_in_tls(stream).await,
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

/// Completes the handshake, which must not exempt the peer from the limit for heads.
async fn half_head_in_tls(stream: &mut TcpStream) {
    let mut tls = tls_client();
    let mut buffer = [0; 4096];
    while tls.is_handshaking() || tls.wants_write() {
        let mut out = Vec::new();
        while tls.wants_write() {
            let _ = tls.write_tls(&mut out);
        }
        if stream.write_all(&out).await.is_err() || !tls.is_handshaking() {
            break;
        }
        match stream.read(&mut buffer).await {
            Ok(n) if n > 0 => {
                let _ = tls.read_tls(&mut &buffer[..n]);
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

/// Sends `pace` bytes a second until the server closes the connection.
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
        let mut buffer = [0; 512];
        while reading.read(&mut buffer).await.is_ok_and(|n| n > 0) {}
    };
    tokio::select! {
        () = write => {}
        () = read => {}
    }
}

/// Reads until the server closes the connection.
async fn drain(stream: &mut TcpStream) {
    let mut buffer = [0; 512];
    while stream.read(&mut buffer).await.is_ok_and(|n| n > 0) {}
}

/// Waits without reading until the server has closed the connection, which only a write shows.
async fn wait_until_closed(stream: &mut TcpStream) {
    tokio::time::sleep(Duration::from_secs(10)).await;
    loop {
        tokio::time::sleep(Duration::from_millis(200)).await;
        // HTTP allows a line break between two requests.
        if stream.try_write(b"\n").is_err_and(|e| e.kind() != std::io::ErrorKind::WouldBlock) {
            return;
        }
    }
}
