//! The receiving side as HTTP: requests to the engine, its answers back, and the health page.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::response::Response;
use axum::routing::{MethodRouter, any, get};
use hookward_core::{Head, Reply, Timestamp};
use hookward_engine::ingest::Rejection;
use http::{HeaderMap, StatusCode};

use crate::body::Incoming;
use crate::head_validation;
use crate::hooks::Shared;

/// Every source's path, and `/health`.
pub(crate) fn router(shared: Arc<Shared>) -> Router {
    let mut router =
        Router::new().route("/health", page()).route("/webhooks/{*source}", any(receive));
    let config = shared.engine.config();
    let elsewhere = config.sources_by_path.keys().filter(|path| !path.starts_with("/webhooks/"));
    for path in elsewhere {
        router = router.route(path, any(receive));
    }
    router.with_state(shared)
}

/// The same, and anything else is an unknown source: for a server that is nothing but this. Paths
/// that a reload moves are found here, too.
pub(crate) fn standalone(shared: Arc<Shared>) -> Router {
    Router::new().route("/health", page()).fallback(receive).with_state(shared)
}

/// The health page, and what else its path may be asked.
fn page() -> MethodRouter<Arc<Shared>> {
    let other = || async { into_response(Rejection::Method { allowed: &["GET", "HEAD"] }.reply()) };
    get(health).fallback(other).layer(axum::middleware::from_fn(head_validation::layer))
}

async fn receive(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    if let Err(refusal) = head_validation::well_formed(&parts) {
        return into_response(shared.engine.reject("", &refusal));
    }
    let client = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|c| c.0.ip());
    let target = parts.uri.path_and_query().map_or("/", |t| t.as_str()).to_owned();
    let head = Head { method: parts.method, target, headers: parts.headers, client };
    let body = Incoming::new(body, shared.budget.clone());
    into_response(shared.engine.receive(head, body).await)
}

/// An answer as HTTP, with no header but its own.
pub(crate) fn into_response(reply: Reply) -> Response {
    let mut response = Response::new(Body::from(reply.body));
    *response.status_mut() = reply.status;
    *response.headers_mut() = reply.headers.into_iter().collect::<HeaderMap>();
    response
}

/// The health page; what is not so is left out.
#[derive(serde::Serialize)]
struct Health {
    status: &'static str,
    providers: Vec<&'static str>,
    timestamp: Timestamp,
    /// Sources that accept anyone's requests.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unverified: Vec<String>,
    /// `false`: what is acknowledged does not survive a restart.
    #[serde(skip_serializing_if = "Option::is_none")]
    durable: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

async fn health(State(shared): State<Arc<Shared>>) -> Response {
    let config = shared.engine.config();
    let reason = shared.engine.health_problem().await;
    let (code, status) = match reason {
        None => (StatusCode::OK, "healthy"),
        Some(_) => (StatusCode::SERVICE_UNAVAILABLE, "unhealthy"),
    };
    let page = Health {
        status,
        providers: config.provider_names(),
        timestamp: Timestamp::from_secs(shared.engine.now().as_secs()),
        unverified: config.unverified_sources().into_iter().map(str::to_owned).collect(),
        durable: (!shared.engine.store().durable()).then_some(false),
        reason,
    };
    into_response(Reply::json(code, &page))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_the_headers_that_it_names_and_no_other() {
        assert!(into_response(Reply::empty(StatusCode::OK)).headers().is_empty());
        let text = into_response(Reply::text(StatusCode::OK, "challenge"));
        assert_eq!(text.headers()["content-type"], "text/plain");
    }
}
