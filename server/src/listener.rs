//! The accept loop: connections in, bounded in number, time and head; graceful to its end. Stands in
//! for `axum::serve`, which arms no timer, so that slow peers would stay for ever.

use std::future::{Future, IntoFuture};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsAcceptor;

use crate::error_rewrite::ResponseOrigin;
use crate::fd_limit;
use crate::head_reader::{LONGEST, first_head};
use crate::hooks::Hooks;
use crate::prefixed_io::PrefixedIo;
use crate::socket::Socket;
use crate::tls::{self, Stream};

/// Bounds of a listener.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Open connections; more are answered with 503 and closed. Fewer, where the process may not
    /// open so many files.
    pub connections: usize,
    /// A TLS handshake is done within this time, which counts as part of the first head's.
    pub handshake: Duration,
    /// The first byte and the whole head of a request come within this time, also on a kept connection.
    pub head: Duration,
    /// After the signal to stop, connections have so long to finish their requests.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { connections: 10_000, handshake: seconds(5), head: seconds(10), drain: seconds(10) }
    }
}

/// To half a head. It is small enough to be written without waiting for a peer that reads nothing.
const TOO_SLOW: &[u8] =
    b"HTTP/1.1 408 Request Timeout\r\ncontent-type: application/json\r\ncontent-length: 53\r\n\
      connection: close\r\n\r\n{\"error\":\"Request too slow\",\"code\":\"REQUEST_TIMEOUT\"}";
/// Telling so takes no longer than this.
const CUT_OFF: Duration = Duration::from_secs(1);

/// So many connections may wait to be accepted, or as many as the system allows (`somaxconn`). A
/// connection that finds no place there is one that its peer takes for made, and that never is.
const BACKLOG: u32 = 65_535;

/// Listens on an address with as long a queue as the system allows. Port 0 picks a free one.
pub fn bind(addr: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if addr.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A restart finds connections of the former process in their last minute.
    socket.set_reuseaddr(true)?;
    socket.bind(addr)?;
    socket.listen(BACKLOG)
}

/// Serves a router until `shutdown` ends. Await it; [`Serve::with`] ties an [`Hooks`] to it.
pub fn serve<F>(listener: TcpListener, app: Router, shutdown: F) -> Serve
where
    F: Future<Output = ()> + Send + 'static,
{
    let shutdown = Box::pin(shutdown);
    Serve { listener, app, shutdown, limits: Limits::default(), hooks: None }
}

/// A server about to run.
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
    /// Drains these hooks when the server stops: nothing is accepted any more, what runs finishes
    /// or goes back, and the store is closed. Its connection limit and its certificate, if there is one,
    /// come from their routes.yaml.
    #[must_use]
    pub fn with(mut self, hooks: Hooks) -> Self {
        self.limits.connections = hooks.engine().config().server.max_connections;
        self.hooks = Some(hooks);
        self
    }

    /// With other bounds.
    #[must_use]
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
            let tls = hooks.as_ref().map(|hooks| tls::acceptor(hooks.engine())).transpose()?;
            let graceful = GracefulShutdown::new();
            let (running, stopping) = watch::channel(());
            let speak = ConnectionCx { app, limits, tls: tls.flatten(), stopping };
            accept(&listener, &speak, &mut shutdown, &graceful).await;
            drop((listener, running));
            if let Some(hooks) = &hooks {
                hooks.stop_accepting();
            }
            // A connection that is still busy then is cut: what it was told is stored, and what was
            // not stored it was not told.
            let connections = tokio::time::timeout(limits.drain, graceful.shutdown());
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

async fn accept(
    listener: &TcpListener,
    speak: &ConnectionCx,
    shutdown: &mut Pin<Box<dyn Future<Output = ()> + Send>>,
    graceful: &GracefulShutdown,
) {
    let most = fd_limit::fitting(speak.limits.connections).min(Semaphore::MAX_PERMITS);
    let permits = Arc::new(Semaphore::new(most));
    loop {
        let accepted = tokio::select! {
            biased;
            () = shutdown.as_mut() => return,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(e) => {
                // Out of file descriptors, mostly: some will be free again soon.
                tracing::warn!(reason = %e, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        match permits.clone().try_acquire_owned() {
            Ok(permit) => connection(stream, peer, speak.clone(), graceful, permit),
            // Over the cap, words in clear are no answer to a handshake.
            Err(_) if speak.tls.is_some() => drop(stream),
            Err(_) => refuse(stream),
        }
    }
}

/// What every connection needs.
#[derive(Clone)]
struct ConnectionCx {
    app: Router,
    limits: Limits,
    tls: Option<TlsAcceptor>,
    /// Closed when the server stops.
    stopping: watch::Receiver<()>,
}

fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    speak: ConnectionCx,
    graceful: &GracefulShutdown,
    permit: OwnedSemaphorePermit,
) {
    let _ = stream.set_nodelay(true);
    let watcher = graceful.watcher();
    tokio::spawn(async move {
        let Some((stream, head)) = begun(stream, &speak).await else { return };
        let turn = ResponseOrigin::default();
        let io = PrefixedIo::new(stream, head.into(), turn.clone());
        let service =
            hyper::service::service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
                let mut request = request.map(axum::body::Body::new);
                request.extensions_mut().insert(ConnectInfo(peer));
                tower_call(speak.app.clone(), request, turn.clone())
            });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            // Some senders close their side behind the request and still wait for its answer.
            .half_close(true)
            .header_read_timeout(speak.limits.head)
            // Over the JSON answer's own bounds, so that it can be given.
            .max_headers(128)
            .max_buf_size(LONGEST)
            .serve_connection(TokioIo::new(io), service);
        if let Err(e) = pin!(watcher.watch(connection)).await {
            tracing::debug!(reason = %e, "a connection ended early");
        }
        drop(permit);
    });
}

/// Shakes hands where there is TLS, and waits for the first head; `None`: none came in time.
async fn begun(stream: TcpStream, speak: &ConnectionCx) -> Option<(Stream, Vec<u8>)> {
    let start = Instant::now();
    let socket = Socket::new(stream);
    let mut stream = match &speak.tls {
        None => Stream::Plain(socket),
        Some(tls) => shaken(tls, socket, start + speak.limits.handshake, speak).await?,
    };
    let mut head = Vec::new();
    let reading = first_head(&mut stream, &mut head, stopped(speak));
    match timeout_at(start + speak.limits.head, reading).await {
        Ok(whole) => whole.ok()?.then_some((stream, head)),
        // Whoever began to ask is told; whoever was silent asked nothing.
        Err(_) if head.is_empty() => None,
        Err(_) => {
            let _ = timeout(CUT_OFF, async {
                stream.write_all(TOO_SLOW).await?;
                stream.shutdown().await
            })
            .await;
            None
        }
    }
}

async fn shaken(
    tls: &TlsAcceptor,
    socket: Socket,
    until: Instant,
    speak: &ConnectionCx,
) -> Option<Stream> {
    let shaken = tokio::select! {
        biased;
        shaken = timeout_at(until, Box::pin(tls.accept(socket))) => shaken,
        () = stopped(speak) => return None,
    };
    let reason = match shaken {
        Ok(Ok(stream)) => return Some(Stream::Tls(Box::new(stream))),
        Ok(Err(e)) => e.to_string(),
        Err(_) => "it took too long".to_owned(),
    };
    tracing::debug!(%reason, "a TLS handshake failed");
    None
}

/// Ends when the server stops.
async fn stopped(speak: &ConnectionCx) {
    let _ = speak.stopping.clone().changed().await;
}

async fn tower_call(
    app: Router,
    request: axum::http::Request<axum::body::Body>,
    turn: ResponseOrigin,
) -> Result<axum::response::Response, std::convert::Infallible> {
    let response = hyper::service::Service::call(&TowerToHyperService::new(app), request).await;
    turn.is_the_services();
    response
}

/// Over the cap: told so without a task that could be held up.
fn refuse(stream: TcpStream) {
    let _ = stream.try_write(
        b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 5\r\ncontent-type: application/json\r\n\
          content-length: 53\r\nconnection: close\r\n\r\n\
          {\"error\":\"Overloaded, try again\",\"code\":\"OVERLOADED\"}",
    );
    let mut stream = stream;
    tokio::spawn(async move {
        let _ = tokio::time::timeout(Duration::from_millis(100), stream.shutdown()).await;
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_to_half_a_head_says_its_own_length() {
        let text = std::str::from_utf8(TOO_SLOW).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("\r\ncontent-length: {}\r\n", body.len())), "{text}");
    }
}
