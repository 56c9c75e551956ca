//! `handler: http_forward` sends each event to a URL over HTTP, with Hookward's own headers instead
//! of the sender's. The URL comes from the configuration, but whoever controls the DNS of its host
//! chooses the address. So only public addresses are connected to, unless the step sets
//! `allow_private`.

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

/// Maximum bytes of a response body that are read and discarded, so that the connection can be
/// reused.
const MAX_DRAINED_BYTES: usize = 64 * 1024;
/// Maximum time to read a response body. The status has already decided the step.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);
/// How long an unused connection stays open.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// Settings of the handler: the keys of its `with:` block.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpForwardConfig {
    /// The URL to send to: `http://` or `https://`, without user and password.
    url: String,
    /// The method of the request.
    #[serde(default)]
    method: ForwardMethod,
    /// Headers in addition to the default ones; a header with the same name replaces the default.
    #[serde(default)]
    headers: BTreeMap<String, Secret>,
    /// Whether addresses that are not public may be reached: this machine, private networks,
    /// metadata services of clouds.
    #[serde(default)]
    allow_private: bool,
    /// What is sent: `raw`, the body as received, or `event`, the JSON object that the `file`
    /// handler writes.
    #[serde(default)]
    body: ForwardBody,
    /// How the kept headers of the sender are sent: `prefixed`, each as
    /// `X-Hookward-Source-Header-NAME`; `unchanged`, each under its own name; or `none`. Most
    /// senders do not sign them.
    #[serde(default)]
    source_headers: SourceHeaders,
}

/// How the headers that the event was received with are sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SourceHeaders {
    #[default]
    Prefixed,
    Unchanged,
    None,
}

#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
enum ForwardMethod {
    #[default]
    Post,
    Put,
    Patch,
    Delete,
}

#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum ForwardBody {
    #[default]
    Raw,
    Event,
}

impl HandlerConfig for HttpForwardConfig {
    const NAME: &'static str = "http_forward";
    const SUMMARY: &'static str = "Sends events to a URL over HTTP";

    fn build(self, _: &BuildCx<'_>) -> Result<Arc<dyn Handler>, BuildError> {
        let (uri, origin) = parse_url(&self.url)?;
        let method = match self.method {
            ForwardMethod::Post => Method::POST,
            ForwardMethod::Put => Method::PUT,
            ForwardMethod::Patch => Method::PATCH,
            ForwardMethod::Delete => Method::DELETE,
        };
        let connector = Connector::new(self.allow_private);
        // The crypto provider is explicit, because rustls panics if an app links several and has
        // not installed a default.
        let crypto = rustls::crypto::ring::default_provider();
        let https = HttpsConnectorBuilder::new()
            .with_provider_and_webpki_roots(crypto)
            .map_err(|e| BuildError::at("", format!("TLS cannot be set up: {e}")))?
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector.clone());
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(POOL_IDLE_TIMEOUT)
            .build(https);
        let headers = headers::configured(&self.headers)?;
        Ok(Arc::new(HttpForward {
            uri,
            origin,
            method,
            headers,
            content: self.body,
            source_headers: self.source_headers,
            client,
            connector,
        }))
    }
}

/// Parses the URL: returns the URI to request and its origin. Only the origin is shown in errors,
/// because paths and queries often contain tokens.
fn parse_url(written: &str) -> Result<(Uri, String), BuildError> {
    let help = "write an absolute URL, such as https://api.example.com/events";
    let error = |message: &str| BuildError::at("/url", message).help(help);
    let mut url = Url::parse(written).map_err(|e| error(&format!("the URL is invalid: {e}")))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(error("the scheme of the URL is not http or https"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        let help = "send credentials in a header: `headers: { authorization: \"${TOKEN}\" }`";
        return Err(BuildError::at("/url", "the URL contains a user or a password").help(help));
    }
    url.set_fragment(None);
    let uri = url.as_str().parse().map_err(|_| error("the URL is not a valid request target"))?;
    Ok((uri, url.origin().ascii_serialization()))
}

struct HttpForward {
    uri: Uri,
    origin: String,
    method: Method,
    headers: HeaderMap,
    content: ForwardBody,
    source_headers: SourceHeaders,
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
            .field("source_headers", &self.source_headers)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Handler for HttpForward {
    async fn handle(&self, event: Event, cx: &HandlerCx) -> Result<Flow, HandlerError> {
        let (body, media_type) = match self.content {
            ForwardBody::Raw => {
                // Decompressed: the sender's Content-Encoding is not forwarded.
                let content = event.body().content().unwrap_or(event.body().bytes());
                (content.clone(), None)
            }
            ForwardBody::Event => (Bytes::from(event_json(&event, cx)), Some("application/json")),
        };
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() =
            headers::request_headers(&event, cx, media_type, self.source_headers, &self.headers);
        let (head, body) = match self.client.request(request).await {
            Ok(response) => response.into_parts(),
            Err(error) => return Err(self.request_error(&error)),
        };
        drain(body).await;
        answer::step_result(head.status, &head.headers, SystemClock.now())
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
    /// Returns the error of a failed request. A network may recover, so it is retried; a private
    /// address does not become public, so it is not.
    fn request_error(&self, error: &(dyn Error + 'static)) -> HandlerError {
        let mut cause = error;
        loop {
            if let Some(ConnectError::Private(address)) = cause.downcast_ref() {
                return HandlerError::fatal(address);
            }
            match cause.source() {
                Some(source) => cause = source,
                None => break,
            }
        }
        HandlerError::retry(format!("no response from {}: {cause}", self.origin))
    }
}

async fn drain(mut body: Incoming) {
    let reading = async {
        let mut read = 0;
        while let Some(Ok(frame)) = body.frame().await {
            read += frame.data_ref().map_or(0, Bytes::len);
            if read > MAX_DRAINED_BYTES {
                break;
            }
        }
    };
    let _ = tokio::time::timeout(DRAIN_TIMEOUT, reading).await;
}
