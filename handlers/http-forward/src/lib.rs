//! `handler: http_forward` sends each event on over HTTP, signed headers replaced by our own. The
//! URL comes from the configuration, yet the names in it are resolved by others: only public
//! addresses are connected to, unless the step says otherwise.

mod answer;
mod connect;
mod headers;

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use hookward_core::plugin::{BuildCx, BuildError, HandlerConfig};
use hookward_core::{
    Clock, Event, Flow, Handler, HandlerCx, HandlerError, ProbeError, Secret, SystemClock,
    event_json,
};
use http::{HeaderMap, Method, Request, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use schemars::JsonSchema;
use serde::Deserialize;
use url::Url;

use crate::connect::{ConnectError, Connector};

hookward_core::register_handler!(HttpForwardConfig);

/// An answer's body is read this far, so that its connection can be used again, and thrown away.
const DRAINED: usize = 64 * 1024;
/// Reading it may take this long; the status has said everything.
const DRAINING: Duration = Duration::from_secs(1);
/// A connection that is not used for this long is closed.
const IDLE: Duration = Duration::from_secs(60);

/// Settings of the handler: the keys of its `with:` block.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpForwardConfig {
    /// Where to: `http://` or `https://`, without user and password.
    url: String,
    /// The method of the request.
    #[serde(default)]
    method: Verb,
    /// Headers on top of those that go along by default; one of the same name takes its place.
    #[serde(default)]
    headers: BTreeMap<String, Secret>,
    /// Whether addresses that are not public may be reached: this machine, private networks,
    /// clouds' metadata services.
    #[serde(default)]
    allow_private: bool,
    /// What is sent: `raw`, the body as it was received, or `event`, the JSON object that the
    /// `file` handler writes.
    #[serde(default)]
    body: Content,
}

#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
enum Verb {
    #[default]
    Post,
    Put,
    Patch,
    Delete,
}

#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Content {
    #[default]
    Raw,
    Event,
}

impl HandlerConfig for HttpForwardConfig {
    const NAME: &'static str = "http_forward";
    const SUMMARY: &'static str = "Sends events on over HTTP";

    fn build(self, _: &BuildCx<'_>) -> Result<Arc<dyn Handler>, BuildError> {
        let (uri, origin) = target(&self.url)?;
        let method = match self.method {
            Verb::Post => Method::POST,
            Verb::Put => Method::PUT,
            Verb::Patch => Method::PATCH,
            Verb::Delete => Method::DELETE,
        };
        let connector = Connector::new(self.allow_private);
        // Named, since rustls panics where an app links several and has chosen none.
        let crypto = rustls::crypto::ring::default_provider();
        let https = HttpsConnectorBuilder::new()
            .with_provider_and_webpki_roots(crypto)
            .map_err(|e| BuildError::at("", format!("TLS cannot be set up: {e}")))?
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector.clone());
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .build(https);
        let headers = headers::configured(&self.headers)?;
        let content = self.body;
        Ok(Arc::new(HttpForward { uri, origin, method, headers, content, client, connector }))
    }
}

/// The URI to request and the part of it that may be shown: paths and queries often hold tokens.
fn target(written: &str) -> Result<(Uri, String), BuildError> {
    let help = "write an absolute URL, such as https://api.example.com/events";
    let refuse = |message: &str| BuildError::at("/url", message).help(help);
    let mut url = Url::parse(written).map_err(|e| refuse(&format!("it is no URL: {e}")))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(refuse("only http and https are spoken here"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        let help = "send credentials in a header: `headers: { authorization: \"${TOKEN}\" }`";
        return Err(BuildError::at("/url", "a URL with a user or password").help(help));
    }
    url.set_fragment(None);
    let uri = url.as_str().parse().map_err(|_| refuse("it cannot be requested"))?;
    Ok((uri, url.origin().ascii_serialization()))
}

struct HttpForward {
    uri: Uri,
    origin: String,
    method: Method,
    headers: HeaderMap,
    content: Content,
    client: Client<HttpsConnector<Connector>, Full<Bytes>>,
    connector: Connector,
}

impl fmt::Debug for HttpForward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpForward")
            .field("method", &self.method)
            .field("origin", &self.origin)
            .field("headers", &self.headers)
            .field("content", &self.content)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Handler for HttpForward {
    async fn handle(&self, event: Event, cx: &HandlerCx) -> Result<Flow, HandlerError> {
        let (body, media_type) = match self.content {
            Content::Raw => (event.body().bytes().clone(), None),
            Content::Event => (Bytes::from(event_json(&event, cx)), Some("application/json")),
        };
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = headers::of_request(&event, cx, media_type, &self.headers);
        let (head, body) = match self.client.request(request).await {
            Ok(response) => response.into_parts(),
            Err(error) => return Err(self.failed(&error)),
        };
        drain(body).await;
        answer::judge(head.status, &head.headers, SystemClock.now())
    }

    async fn probe(&self) -> Result<(), ProbeError> {
        self.connector
            .connect(&self.uri)
            .await
            .map(drop)
            .map_err(|e| ProbeError::new(e.to_string()))
    }
}

impl HttpForward {
    /// Networks recover; a refused address does not become public.
    fn failed(&self, error: &(dyn Error + 'static)) -> HandlerError {
        let mut cause = error;
        loop {
            if let Some(ConnectError::Refused(refused)) = cause.downcast_ref() {
                return HandlerError::fatal(refused);
            }
            match cause.source() {
                Some(source) => cause = source,
                None => break,
            }
        }
        HandlerError::retry(format!("no answer from {}: {cause}", self.origin))
    }
}

async fn drain(mut body: Incoming) {
    let reading = async {
        let mut read = 0;
        while let Some(Ok(frame)) = body.frame().await {
            read += frame.data_ref().map_or(0, Bytes::len);
            if read > DRAINED {
                break;
            }
        }
    };
    let _ = tokio::time::timeout(DRAINING, reading).await;
}
