//! HTTP out: for `send`, and for the admin API of the server that owns the store.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use rustls::pki_types::CertificateDer;

use crate::pinned;

/// A longer answer is cut off.
const MAX_ANSWER: usize = 64 * 1024 * 1024;
/// An answer is there within this time.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why there is no answer.
#[derive(Debug)]
pub(crate) struct NoAnswer {
    /// Nobody listens there.
    pub(crate) refused: bool,
    pub(crate) message: String,
}

/// Sends one request. Over HTTPS the server shows this certificate, or without one, one that a public
/// root vouches for.
pub(crate) async fn send(
    request: http::Request<Bytes>,
    known: Option<CertificateDer<'static>>,
) -> Result<http::Response<Bytes>, NoAnswer> {
    let uri = request.uri().clone();
    let fail = |refused, reason: String| NoAnswer {
        refused,
        message: format!("no answer from {}: {reason}", shown(&uri)),
    };
    let builder = HttpsConnectorBuilder::new();
    let builder = match known.map(pinned::config).transpose() {
        Ok(None) => builder.with_webpki_roots(),
        Ok(Some(config)) => builder.with_tls_config(config),
        Err(e) => return Err(fail(false, e.to_string())),
    };
    let connector = builder.https_or_http().enable_http1().build();
    let client = Client::builder(TokioExecutor::new()).build::<_, Full<Bytes>>(connector);
    let sent = tokio::time::timeout(PATIENCE, client.request(request.map(Full::new)));
    let response = match sent.await {
        Err(_) => return Err(fail(false, format!("none within {PATIENCE:?}"))),
        Ok(Err(e)) => return Err(fail(e.is_connect(), causes(&e))),
        Ok(Ok(response)) => response,
    };
    let (parts, body) = response.into_parts();
    #[expect(clippy::disallowed_methods, reason = "bounded by `Limited`")]
    let body = Limited::new(body, MAX_ANSWER).collect().await;
    let body = body.map_err(|e| fail(false, e.to_string()))?.to_bytes();
    Ok(http::Response::from_parts(parts, body))
}

fn shown(uri: &http::Uri) -> String {
    format!(
        "{}://{}",
        uri.scheme_str().unwrap_or("http"),
        uri.authority().map_or("", |a| a.as_str())
    )
}

fn causes(e: &dyn std::error::Error) -> String {
    let mut last = e.to_string();
    let mut source = e.source();
    while let Some(cause) = source {
        last = cause.to_string();
        source = cause.source();
    }
    last
}
