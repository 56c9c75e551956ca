//! The one way out for keys: https to public addresses. The name is looked up here and exactly a
//! judged address is connected to, so that a resolver that changes its mind gains nothing.

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

/// For all of it: looking up, connecting, asking, reading.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The longest document.
const MAX_DOCUMENT: usize = 256 * 1024;

/// A document as it came.
#[derive(Debug, Clone)]
pub(super) struct Fetched {
    pub(super) bytes: Bytes,
    /// How long its owner calls it fresh.
    pub(super) max_age: Option<Duration>,
}

/// Fetches a document, or says why not.
#[async_trait]
pub(super) trait Transport: fmt::Debug + Send + Sync {
    /// GET, or POST of this JSON.
    async fn fetch(&self, url: &str, body: Option<&Bytes>) -> Result<Fetched, String>;
}

type Addresses = io::Result<Vec<SocketAddr>>;
type Resolve = dyn Fn(String, u16) -> Pin<Box<dyn Future<Output = Addresses> + Send>> + Send + Sync;

/// Connects to public addresses.
#[derive(Clone)]
pub(super) struct Connector {
    resolve: Arc<Resolve>,
    allowed: fn(SocketAddr) -> bool,
}

impl Connector {
    fn public() -> Self {
        let resolve = |host: String, port| -> Pin<Box<dyn Future<Output = Addresses> + Send>> {
            Box::pin(async move { Ok(lookup_host((host, port)).await?.collect()) })
        };
        Self { resolve: Arc::new(resolve), allowed: |address| is_public_address(address.ip()) }
    }

    async fn connect(&self, uri: &Uri) -> io::Result<TcpStream> {
        let host = uri.host().unwrap_or_default().to_owned();
        let found = (self.resolve)(host, uri.port_u16().unwrap_or(443)).await?;
        let mut last = io::Error::other("the name leads to no public address");
        for address in found.into_iter().filter(|address| (self.allowed)(*address)) {
            match TcpStream::connect(address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = error,
            }
        }
        Err(last)
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

/// Https with the public roots of trust.
pub(super) struct Https(Client<HttpsConnector<Connector>, Full<Bytes>>);

impl Https {
    pub(super) fn new() -> Result<Self, String> {
        // Named, since rustls panics where an app links several and has chosen none.
        let crypto = rustls::crypto::ring::default_provider();
        let tls = HttpsConnectorBuilder::new()
            .with_provider_and_webpki_roots(crypto)
            .map_err(|e| format!("TLS cannot be set up: {e}"))?;
        Ok(Self::over(tls.https_only().enable_http1().wrap_connector(Connector::public())))
    }

    fn over(connector: HttpsConnector<Connector>) -> Self {
        // Seldom used: a connection that is kept would be closed by the next time.
        Self(Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector))
    }

    async fn ask(&self, url: &str, body: Option<&Bytes>) -> Result<Fetched, String> {
        let uri: Uri = url.parse().map_err(|_| "its address cannot be requested".to_owned())?;
        let mut request = Request::new(Full::new(body.cloned().unwrap_or_default()));
        *request.uri_mut() = uri;
        let headers = request.headers_mut();
        headers.insert(header::ACCEPT, header::HeaderValue::from_static("*/*"));
        let agent = concat!("hookward/", env!("CARGO_PKG_VERSION"));
        headers.insert(header::USER_AGENT, header::HeaderValue::from_static(agent));
        if body.is_some() {
            let json = header::HeaderValue::from_static("application/json");
            headers.insert(header::CONTENT_TYPE, json);
            *request.method_mut() = Method::POST;
        }
        let answer = self.0.request(request).await.map_err(|e| deepest(&e))?;
        let (head, body) = answer.into_parts();
        if head.status != StatusCode::OK {
            return Err(format!("it was answered with {}", head.status.as_u16()));
        }
        let max_age =
            head.headers.get(header::CACHE_CONTROL).and_then(|v| max_age(v.to_str().ok()?));
        #[expect(
            clippy::disallowed_methods,
            reason = "limited just here, and in time by the caller"
        )]
        let read = Limited::new(body, MAX_DOCUMENT).collect().await;
        let bytes = read.map_err(|e| format!("it could not be read: {e}"))?.to_bytes();
        Ok(Fetched { bytes, max_age })
    }
}

#[async_trait]
impl Transport for Https {
    async fn fetch(&self, url: &str, body: Option<&Bytes>) -> Result<Fetched, String> {
        let asking = tokio::time::timeout(TIMEOUT, self.ask(url, body));
        asking.await.unwrap_or_else(|_| Err("it took longer than 5 s".to_owned()))
    }
}

impl fmt::Debug for Https {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Https")
    }
}

/// The seconds of `max-age`; none where the copy should not be kept.
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

/// The innermost reason: what is around it says only that there was none.
fn deepest(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    format!("there is no connection: {cause}")
}

#[cfg(test)]
mod tests;
