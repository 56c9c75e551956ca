//! The HTTP client of `send` and of the commands that call the admin API.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use rustls::pki_types::CertificateDer;

use crate::pinned_tls;

/// A longer answer is an error.
const MAX_ANSWER_BYTES: usize = 64 * 1024 * 1024;
/// How long the whole exchange may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// The server gave no answer.
#[derive(Debug)]
pub(crate) struct NoAnswer {
    /// The connection could not be opened.
    pub(crate) connect_failed: bool,
    pub(crate) message: String,
}

/// Sends one request. Over HTTPS only the `pinned` certificate is trusted; without it, the public roots are.
pub(crate) async fn send(
    request: http::Request<Bytes>,
    pinned: Option<CertificateDer<'static>>,
) -> Result<http::Response<Bytes>, NoAnswer> {
    let uri = request.uri().clone();
    let fail = |connect_failed, reason: String| NoAnswer {
        connect_failed,
        message: format!("no answer from {}: {reason}", origin(&uri)),
    };
    let builder = HttpsConnectorBuilder::new();
    let builder = match pinned.map(pinned_tls::config).transpose() {
        Ok(None) => builder.with_webpki_roots(),
        Ok(Some(config)) => builder.with_tls_config(config),
        Err(e) => return Err(fail(false, e.to_string())),
    };
    let connector = builder.https_or_http().enable_http1().build();
    let client = Client::builder(TokioExecutor::new()).build::<_, Full<Bytes>>(connector);
    let sent = tokio::time::timeout(ANSWER_TIMEOUT, client.request(request.map(Full::new)));
    let response = match sent.await {
        Err(_) => return Err(fail(false, format!("none within {ANSWER_TIMEOUT:?}"))),
        Ok(Err(e)) => return Err(fail(e.is_connect(), root_cause(&e))),
        Ok(Ok(response)) => response,
    };
    let (parts, body) = response.into_parts();
    #[expect(clippy::disallowed_methods, reason = "bounded by `Limited`")]
    let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await;
    let body = body.map_err(|e| fail(false, e.to_string()))?.to_bytes();
    Ok(http::Response::from_parts(parts, body))
}

fn origin(uri: &http::Uri) -> String {
    format!(
        "{}://{}",
        uri.scheme_str().unwrap_or("http"),
        uri.authority().map_or("", |a| a.as_str())
    )
}

fn root_cause(e: &dyn std::error::Error) -> String {
    let mut last = e.to_string();
    let mut source = e.source();
    while let Some(cause) = source {
        last = cause.to_string();
        source = cause.source();
    }
    last
}
