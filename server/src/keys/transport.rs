//! The only outgoing connection of the server: https to public addresses, for keys. The name is
//! resolved here and the very address that passed the check is connected to, so that a name whose
//! second lookup leads to a private address (DNS rebinding) gains nothing.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use hookward_core::is_public_address;
use http::{Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpStream, lookup_host};
use tower::Service;

/// The time for one document as a whole: resolving, connecting, asking, reading. A sender waits
/// meanwhile, and many give up after 10 s.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
/// A longer document is an error. JWKS and certificate chains have a few KiB.
const MAX_DOCUMENT_BYTES: usize = 256 * 1024;

/// A document as it was received.
#[derive(Debug, Clone)]
pub(super) struct Fetched {
    pub(super) bytes: Bytes,
    /// The freshness that the owner states in `Cache-Control`.
    pub(super) max_age: Option<Duration>,
}

/// How a document is fetched: over https, or by a test.
#[async_trait]
pub(super) trait Transport: fmt::Debug + Send + Sync {
    /// Sends GET, or POST with `body` as JSON. The error is a reason without the URL.
    async fn fetch(&self, url: &str, body: Option<&Bytes>) -> Result<Fetched, String>;
}

type Addresses = io::Result<Vec<SocketAddr>>;
type Resolver =
    dyn Fn(String, u16) -> Pin<Box<dyn Future<Output = Addresses> + Send>> + Send + Sync;

/// Opens TCP connections to the addresses of a name that `is_allowed` accepts.
#[derive(Clone)]
pub(super) struct Connector {
    resolve: Arc<Resolver>,
    is_allowed: fn(SocketAddr) -> bool,
}

impl Connector {
    /// Connects to public addresses only: senders choose the name, and must not reach the
    /// receiver's own network through it.
    fn public() -> Self {
        let resolve = |host: String, port| -> Pin<Box<dyn Future<Output = Addresses> + Send>> {
            Box::pin(async move { Ok(lookup_host((host, port)).await?.collect()) })
        };
        Self { resolve: Arc::new(resolve), is_allowed: |address| is_public_address(address.ip()) }
    }

    async fn connect(&self, uri: &Uri) -> io::Result<TcpStream> {
        let host = uri.host().unwrap_or_default().to_owned();
        let addresses = (self.resolve)(host, uri.port_u16().unwrap_or(443)).await?;
        let mut last_error = io::Error::other("the name has no public address");
        for address in addresses.into_iter().filter(|address| (self.is_allowed)(*address)) {
            match TcpStream::connect(address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last_error = error,
            }
        }
        Err(last_error)
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<TcpStream>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move { connector.connect(&uri).await.map(TokioIo::new) })
    }
}

/// An https client over a [`Connector`].
pub(super) struct Https(Client<HttpsConnector<Connector>, Full<Bytes>>);

impl Https {
    pub(super) fn new() -> Result<Self, String> {
        // Named, because rustls panics if an app links several crypto providers and has chosen
        // none.
        let crypto = rustls::crypto::ring::default_provider();
        let tls = HttpsConnectorBuilder::new()
            .with_provider_and_webpki_roots(crypto)
            .map_err(|e| format!("TLS cannot be set up: {e}"))?;
        Ok(Self::with_connector(
            tls.https_only().enable_http1().wrap_connector(Connector::public()),
        ))
    }

    fn with_connector(connector: HttpsConnector<Connector>) -> Self {
        // Documents are fetched minutes apart; the peer would have closed an idle connection by
        // then.
        Self(Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector))
    }

    async fn send(&self, url: &str, body: Option<&Bytes>) -> Result<Fetched, String> {
        let uri: Uri = url.parse().map_err(|_| "its address cannot be requested".to_owned())?;
        let mut request = Request::new(Full::new(body.cloned().unwrap_or_default()));
        *request.uri_mut() = uri;
        let headers = request.headers_mut();
        headers.insert(header::ACCEPT, header::HeaderValue::from_static("*/*"));
        let user_agent = concat!("hookward/", env!("CARGO_PKG_VERSION"));
        headers.insert(header::USER_AGENT, header::HeaderValue::from_static(user_agent));
        if body.is_some() {
            let json = header::HeaderValue::from_static("application/json");
            headers.insert(header::CONTENT_TYPE, json);
            *request.method_mut() = Method::POST;
        }
        let response = self.0.request(request).await.map_err(|e| connection_error(&e))?;
        let (head, body) = response.into_parts();
        if head.status != StatusCode::OK {
            return Err(format!("it was answered with {}", head.status.as_u16()));
        }
        let max_age =
            head.headers.get(header::CACHE_CONTROL).and_then(|v| max_age(v.to_str().ok()?));
        #[expect(
            clippy::disallowed_methods,
            reason = "limited here in size, and by the caller in time"
        )]
        let read = Limited::new(body, MAX_DOCUMENT_BYTES).collect().await;
        let bytes = read.map_err(|e| format!("it could not be read: {e}"))?.to_bytes();
        Ok(Fetched { bytes, max_age })
    }
}

#[async_trait]
impl Transport for Https {
    async fn fetch(&self, url: &str, body: Option<&Bytes>) -> Result<Fetched, String> {
        let sending = tokio::time::timeout(FETCH_TIMEOUT, self.send(url, body));
        sending.await.unwrap_or_else(|_| Err("it took longer than 5 s".to_owned()))
    }
}

impl fmt::Debug for Https {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Https")
    }
}

/// The freshness lifetime in `Cache-Control` (RFC 9111): zero for `no-store` and `no-cache`, `None` without a
/// `max-age`.
fn max_age(cache_control: &str) -> Option<Duration> {
    let directives = || cache_control.split(',').map(str::trim);
    if directives()
        .any(|d| d.eq_ignore_ascii_case("no-store") || d.eq_ignore_ascii_case("no-cache"))
    {
        return Some(Duration::ZERO);
    }
    let (_, seconds) = directives()
        .filter_map(|directive| directive.split_once('='))
        .find(|(name, _)| name.eq_ignore_ascii_case("max-age"))?;
    seconds.trim_matches('"').parse().ok().map(Duration::from_secs)
}

/// Describes why no connection was made, by the innermost error: hyper's own around it says only
/// that connecting failed.
fn connection_error(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    format!("there is no connection: {cause}")
}

#[cfg(test)]
mod tests;
