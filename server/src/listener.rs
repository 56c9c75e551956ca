//! The listener: accepts connections and bounds their number and the time that each may take for
//! its TLS handshake and its heads; shuts down gracefully. Takes the place of `axum::serve`, which
//! arms no timer, so that a slow peer could stay for ever.

use std::future::{Future, IntoFuture};
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use bytes::Bytes;
use hookward_engine::Engine;
use hookward_engine::ingest::{Rejection, resolve_client};
use http::{HeaderMap, HeaderValue, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsAcceptor;

use crate::connection_table::{ConnectionProgress, ConnectionTable, OpenConnection};
use crate::error_rewrite::ResponseOrigin;
use crate::framing::{FramingMonitor, FramingReport};
use crate::head_reader::{MAX_HEAD_BUFFER, read_first_head};
use crate::hooks::Hooks;
use crate::http2_rejection::{HTTP_1_1_REQUIRED, PREFACE_START};
use crate::peer_certificate::{PeerCertificate, rejection_reason};
use crate::prefixed_io::PrefixedIo;
use crate::socket::Socket;
use crate::tls::Stream;
use crate::tracked_body::TrackedBody;
use crate::{fd_limit, response, telemetry};

/// The bounds of a listener, for [`Serve::limits`].
///
/// ```
/// use hookward::Limits;
/// use std::time::Duration;
///
/// let limits = Limits { head: Duration::from_secs(5), ..Limits::default() };
/// assert_eq!(limits.connections, 10_000);
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The most connections that are open at the same time. One beyond it takes the place of the
    /// oldest one without a complete request, of the address that has the most of them. If there is
    /// none it gets 503 `OVERLOADED`, or under TLS is closed. Lowered if the process may not open as
    /// many files. Default 10,000.
    pub connections: usize,
    /// The time for a TLS handshake, which counts towards that of the first head. Default 5 s.
    pub handshake: Duration,
    /// The time for the complete head of a request, from the start of the connection or the end of
    /// the previous response. A peer that has begun one gets 408. Default 10 s.
    pub head: Duration,
    /// The time that open connections have, after the signal to stop, to finish their requests.
    /// Default 10 s.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { connections: 10_000, handshake: seconds(5), head: seconds(10), drain: seconds(10) }
    }
}

/// How long sending a 408 may take. The answer fits into an empty socket buffer, so only a broken
/// connection needs longer.
const TIMEOUT_RESPONSE_TIMEOUT: Duration = Duration::from_secs(1);

/// How long closing a connection beyond the limit may take. Short, because such connections are not
/// counted and a flood of them must not pile up.
const OVERLOAD_CLOSE_TIMEOUT: Duration = Duration::from_millis(100);

/// The pause after a failed `accept`. Mostly the process is out of file descriptors; without a
/// pause the loop would spin until one is free.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(50);

/// The length of the accept queue; the system caps it at `somaxconn`. A connection that finds the
/// queue full looks established to its peer and never is, so the queue should be as long as
/// possible.
const ACCEPT_QUEUE_LENGTH: u32 = 65_535;

/// hyper's own bound on headers. Above the 64 of `head_validation.rs`, so that the JSON answer of
/// this server is given rather than hyper's bare one.
const HYPER_MAX_HEADERS: usize = 128;

/// The 408 of a peer that has begun a head and not completed it in time.
static REQUEST_TIMEOUT_RESPONSE: LazyLock<Bytes> =
    LazyLock::new(|| response::into_http1_bytes(&response::request_timeout()));
/// The 503 of a connection beyond the limit. Rendered once, because it is sent when the process has
/// the least to spare.
static OVERLOADED_RESPONSE: LazyLock<Bytes> =
    LazyLock::new(|| response::into_http1_bytes(&response::overloaded()));

/// Listens on an address with the longest accept queue that the system allows. Port 0 picks a free
/// port.
///
/// # Errors
/// If the address is in use or not of this machine, or the port needs privileges.
///
/// # Panics
/// Outside a tokio runtime.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let listener = hookward::bind("127.0.0.1:0".parse().expect("an address"))?;
/// assert_ne!(listener.local_addr()?.port(), 0);
/// # Ok(()) }
/// ```
pub fn bind(addr: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if addr.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // Without it, connections of the previous process that are in TIME_WAIT make a restart fail.
    socket.set_reuseaddr(true)?;
    socket.bind(addr)?;
    socket.listen(ACCEPT_QUEUE_LENGTH)
}

/// Serves a router on a listener until `shutdown` completes. Nothing happens before the returned
/// [`Serve`] is awaited.
///
/// ```no_run
/// # async fn example(hooks: hookward::Hooks) -> std::io::Result<()> {
/// let listener = hookward::bind(hooks.listen_addr())?;
/// let app = axum::Router::new().merge(hooks.router());
/// hookward::serve(listener, app, hookward::shutdown_signal()).with(hooks).await
/// # }
/// ```
pub fn serve<F>(listener: TcpListener, app: Router, shutdown: F) -> Serve
where
    F: Future<Output = ()> + Send + 'static,
{
    let shutdown = Box::pin(shutdown);
    Serve { listener, app, shutdown, limits: Limits::default(), hooks: None }
}

/// A server that runs when it is awaited; made by [`serve`].
#[must_use = "a server runs only while it is awaited"]
pub struct Serve {
    listener: TcpListener,
    app: Router,
    shutdown: Pin<Box<dyn Future<Output = ()> + Send>>,
    limits: Limits,
    hooks: Option<Hooks>,
}

impl std::fmt::Debug for Serve {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Serve").field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl Serve {
    /// Ties the hooks to this server. Their routes.yaml then sets the connection limit and, with
    /// `server.tls`, the certificate; and when the server stops it stops the hooks: deliveries are
    /// rejected, running steps finish or their jobs are released, and the store is closed.
    pub fn with(mut self, hooks: Hooks) -> Self {
        self.limits.connections = hooks.engine().config().server.max_connections;
        self.hooks = Some(hooks);
        self
    }

    /// Replaces all limits. Call it after [`with`](Serve::with), which sets one of them.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }
}

impl IntoFuture for Serve {
    type Output = std::io::Result<()>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let Self { listener, app, mut shutdown, limits, hooks } = self;
            let graceful = GracefulShutdown::new();
            let (running, stopping) = watch::channel(());
            let engine = hooks.as_ref().map(|hooks| hooks.engine().clone());
            let cx = ConnectionCx { app, limits, engine, stopping };
            accept_connections(&listener, &cx, &mut shutdown, &graceful).await;
            // The order of a drain. First the listener closes, so that new connections go to
            // another process, and silent peers are dropped (`running`). Then new deliveries on
            // open connections get 503. Then requests finish while the worker drains beside them,
            // because neither needs the other. The store closes last, when nothing writes to it any
            // more.
            drop((listener, running));
            if let Some(hooks) = &hooks {
                hooks.stop_accepting();
            }
            // A connection that is still busy at the end is cut. Nothing is lost: a delivery that
            // was answered is stored, and one that was not is sent again.
            let connections = timeout(limits.drain, graceful.shutdown());
            match hooks {
                None => drop(connections.await),
                Some(hooks) => {
                    let _ = tokio::join!(connections, hooks.stop_working());
                    hooks.stop().await;
                }
            }
            Ok(())
        })
    }
}

/// Accepts connections until `shutdown` completes.
async fn accept_connections(
    listener: &TcpListener,
    cx: &ConnectionCx,
    shutdown: &mut Pin<Box<dyn Future<Output = ()> + Send>>,
    graceful: &GracefulShutdown,
) {
    let limit = fd_limit::allowed_connections(cx.limits.connections);
    let table = ConnectionTable::new(limit);
    loop {
        table.wait_for_closing().await;
        let accepted = tokio::select! {
            // The shutdown first: a flood of connections must not keep the server from stopping.
            biased;
            () = shutdown.as_mut() => return,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(e) => {
                telemetry::accept_failed(&e);
                tokio::time::sleep(ACCEPT_RETRY_DELAY).await;
                continue;
            }
        };
        match table.open(peer.ip(), cx.is_trusted_proxy(peer.ip())) {
            Some(place) => spawn_connection(stream, peer, cx.clone(), graceful, place),
            // A peer that expects a TLS handshake cannot read an answer in clear text.
            None if cx.tls_config().is_some() => drop(stream),
            None => reject_overloaded(stream),
        }
    }
}

/// The state that every connection of a listener shares.
#[derive(Clone)]
struct ConnectionCx {
    app: Router,
    limits: Limits,
    /// Knows TLS and the trusted proxies; `None` for a listener without hooks.
    engine: Option<Arc<Engine>>,
    /// Its sender is dropped when the server stops.
    stopping: watch::Receiver<()>,
}

impl ConnectionCx {
    /// Completes when the server stops.
    async fn server_stops(&self) {
        let _ = self.stopping.clone().changed().await;
    }

    fn is_trusted_proxy(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.engine.as_ref().is_some_and(|engine| {
            engine.config().server.trusted_proxies.iter().any(|net| net.contains(&peer))
        })
    }

    fn has_strict_framing(&self) -> bool {
        self.engine.as_ref().is_some_and(|engine| engine.config().server.strict_framing)
    }

    /// The settings of TLS in force; `None` serves plain HTTP.
    fn tls_config(&self) -> Option<Arc<rustls::ServerConfig>> {
        let config = self.engine.as_ref()?.config();
        config.server.tls.as_ref().map(|tls| tls.server_config().clone())
    }

    /// Counts a client that is rejected for its certificate, and logs it unless there are too many
    /// like it. Its connection is closed without an answer.
    fn reject_client(&self, peer: SocketAddr, reason: String) {
        if let Some(engine) = &self.engine {
            let rejection = Rejection::ClientCertificateInvalid { reason };
            drop(engine.reject("", Some(peer.ip()), &rejection));
        }
    }

    /// The client that a trusted proxy names.
    fn proxied_client(&self, peer: IpAddr, headers: &HeaderMap) -> Option<IpAddr> {
        let config = self.engine.as_ref()?.config();
        Some(resolve_client(peer, headers, &config.server.trusted_proxies))
    }
}

/// Serves a connection in a task of its own. Its place is free again when it is closed.
fn spawn_connection(
    stream: TcpStream,
    peer: SocketAddr,
    cx: ConnectionCx,
    graceful: &GracefulShutdown,
    place: OpenConnection,
) {
    // An answer is one small write; Nagle's algorithm would delay it for a second one.
    let _ = stream.set_nodelay(true);
    let watcher = graceful.watcher();
    tokio::spawn(async move {
        let Some((stream, head)) = begin_connection(stream, peer, &cx, &place).await else {
            return;
        };
        let certificate = match stream.peer_certificate() {
            Ok(certificate) => certificate,
            Err(reason) => {
                let reason = format!("the names of the client's certificate: {reason}");
                return cx.reject_client(peer, reason);
            }
        };
        let origin = ResponseOrigin::default();
        let framing = FramingReport::default();
        let monitor = FramingMonitor::new(cx.has_strict_framing(), framing.clone());
        let io = PrefixedIo::new(stream, head.into(), origin.clone(), monitor);
        let timeout = cx.limits.head;
        let progress = place.progress();
        let connection =
            Arc::new(ServedConnection { cx, peer, certificate, origin, framing, progress });
        let service =
            hyper::service::service_fn(move |request| serve_request(request, connection.clone()));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            // Some senders close their side after the request and still wait for its answer.
            .half_close(true)
            .header_read_timeout(timeout)
            .max_headers(HYPER_MAX_HEADERS)
            .max_buf_size(MAX_HEAD_BUFFER)
            .serve_connection(TokioIo::new(io), service);
        tokio::select! {
            biased;
            ended = watcher.watch(connection) => {
                if let Err(e) = ended {
                    telemetry::connection_failed(&e);
                }
            }
            // Without an answer: it is between two requests, or its peer neither sends nor reads.
            () = place.evicted() => {}
        }
    });
}

/// Completes the TLS handshake, if there is TLS, and reads the first head. `None`: the peer sent
/// nothing in time, or it was answered with 408 or, if it lost its place, with 503.
async fn begin_connection(
    stream: TcpStream,
    peer: SocketAddr,
    cx: &ConnectionCx,
    place: &OpenConnection,
) -> Option<(Stream, Vec<u8>)> {
    // One start for both deadlines, so that a slow handshake does not extend the time for the head.
    let start = Instant::now();
    let socket = Socket::new(stream);
    let mut stream = match cx.tls_config() {
        None => Stream::Plain(socket),
        Some(tls) => tokio::select! {
            biased;
            stream = tls_handshake(tls.into(), socket, peer, start + cx.limits.handshake, cx) => stream?,
            () = place.evicted() => return None,
        },
    };
    let mut head = Vec::new();
    let reading = read_first_head(&mut stream, &mut head, cx.server_stops());
    let is_late = tokio::select! {
        biased;
        read = timeout_at(start + cx.limits.head, reading) => match read {
            Ok(Ok(true)) if head.starts_with(PREFACE_START) => {
                answer_and_close(stream, HTTP_1_1_REQUIRED, place).await;
                return None;
            }
            Ok(any) => return any.ok()?.then_some((stream, head)),
            Err(_) => true,
        },
        () = place.evicted() => false,
    };
    // A silent peer has asked nothing, so it is closed without an answer.
    if head.is_empty() {
        return None;
    }
    if is_late {
        answer_and_close(stream, &REQUEST_TIMEOUT_RESPONSE, place).await;
    } else {
        // Closing is not waited for: the place belongs to another connection already.
        let _ = timeout(OVERLOAD_CLOSE_TIMEOUT, async {
            stream.write_all(&OVERLOADED_RESPONSE).await?;
            stream.flush().await
        })
        .await;
    }
    None
}

/// Writes an answer and closes the connection, which may lose its place meanwhile.
async fn answer_and_close(mut stream: Stream, answer: &[u8], place: &OpenConnection) {
    let answered = timeout(TIMEOUT_RESPONSE_TIMEOUT, async {
        stream.write_all(answer).await?;
        stream.shutdown().await
    });
    tokio::select! {
        _ = answered => {}
        () = place.evicted() => {}
    }
}

async fn tls_handshake(
    tls: TlsAcceptor,
    socket: Socket,
    peer: SocketAddr,
    deadline: Instant,
    cx: &ConnectionCx,
) -> Option<Stream> {
    let handshake = tokio::select! {
        biased;
        // Boxed, because the handshake's state would otherwise make every connection's task larger.
        handshake = timeout_at(deadline, Box::pin(tls.accept(socket))) => handshake,
        () = cx.server_stops() => return None,
    };
    let reason = match handshake {
        Ok(Ok(stream)) => return Some(Stream::Tls(Box::new(stream))),
        Ok(Err(e)) => e,
        Err(_) => std::io::Error::other("it took too long"),
    };
    match reason.get_ref().and_then(|e| e.downcast_ref::<rustls::Error>()) {
        Some(
            e @ (rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented),
        ) => {
            cx.reject_client(peer, rejection_reason(e));
        }
        _ => telemetry::tls_handshake_failed(peer, &reason),
    }
    None
}

/// What the requests of one connection share.
struct ServedConnection {
    cx: ConnectionCx,
    peer: SocketAddr,
    certificate: Option<Arc<PeerCertificate>>,
    origin: ResponseOrigin,
    framing: FramingReport,
    progress: ConnectionProgress,
}

/// Calls the router for one request and marks its response as the service's.
async fn serve_request(
    request: hyper::Request<Incoming>,
    connection: Arc<ServedConnection>,
) -> Result<axum::response::Response, std::convert::Infallible> {
    let ServedConnection { cx, peer, certificate, origin, framing, progress } = &*connection;
    let number = framing.begin_request();
    let client = match progress.is_trusted_proxy() {
        true => cx.proxied_client(peer.ip(), request.headers()),
        false => None,
    };
    progress.head_complete(client);
    let mut request =
        request.map(|body| axum::body::Body::new(TrackedBody::new(body, progress.clone())));
    request.extensions_mut().insert(ConnectInfo(*peer));
    if let Some(certificate) = certificate {
        request.extensions_mut().insert(certificate.clone());
    }
    request.extensions_mut().insert(progress.clone());
    let mut response =
        hyper::service::Service::call(&TowerToHyperService::new(cx.app.clone()), request).await;
    if framing.closes_after(number)
        && let Ok(response) = &mut response
    {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    progress.answered();
    origin.mark_service();
    response
}

/// Answers a connection beyond the limit with 503 and closes it. The write cannot wait: the
/// socket's buffer is empty, and a peer that does not read must not hold anything.
fn reject_overloaded(mut stream: TcpStream) {
    let _ = stream.try_write(&OVERLOADED_RESPONSE);
    tokio::spawn(async move {
        let _ = timeout(OVERLOAD_CLOSE_TIMEOUT, stream.shutdown()).await;
    });
}
