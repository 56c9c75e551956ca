//! The receiving side as HTTP: requests to the engine, its answers back, and the health page.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use hookward_core::{Head, Reply, Timestamp};
use hookward_engine::accept::Refusal;
use http::{HeaderMap, StatusCode, Version, header};

use crate::body::Incoming;
use crate::hooks::Shared;

/// More headers, or a longer head, are answered with 431.
const MAX_HEADERS: usize = 64;
const MAX_HEAD: usize = 16 * 1024;
/// The longest target.
const MAX_TARGET: usize = 4096;

/// Every source's path, and `/health`.
pub(crate) fn router(shared: Arc<Shared>) -> Router {
    let mut router =
        Router::new().route("/health", get(health)).route("/webhooks/{*source}", any(receive));
    let plan = shared.engine.plan();
    let elsewhere = plan.paths.keys().filter(|path| !path.starts_with("/webhooks/"));
    for path in elsewhere {
        router = router.route(path, any(receive));
    }
    router.with_state(shared)
}

/// The same, and anything else is an unknown source: for a server that is nothing but this. Paths
/// that a reload moves are found here, too.
pub(crate) fn standalone(shared: Arc<Shared>) -> Router {
    Router::new().route("/health", get(health)).fallback(receive).with_state(shared)
}

async fn receive(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    if let Err(refusal) = well_formed(&parts) {
        return written(shared.engine.refuse("", &refusal));
    }
    let client = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|c| c.0.ip());
    let target = parts.uri.path_and_query().map_or("/", |t| t.as_str()).to_owned();
    let head = Head { method: parts.method, target, headers: parts.headers, client };
    let body = Incoming::new(body, shared.budget.clone());
    written(shared.engine.receive(head, body).await)
}

/// What no sender of ours does and an attacker might.
fn well_formed(parts: &http::request::Parts) -> Result<(), Refusal> {
    let size: usize = parts.headers.iter().map(|(n, v)| n.as_str().len() + v.len() + 4).sum();
    if parts.headers.len() > MAX_HEADERS || size > MAX_HEAD {
        return Err(Refusal::HeaderTooLarge);
    }
    if parts.uri.path_and_query().is_some_and(|t| t.as_str().len() > MAX_TARGET) {
        return Err(Refusal::TargetTooLong);
    }
    let hosts = parts.headers.get_all(header::HOST).iter().count();
    if hosts > 1 || (hosts == 0 && parts.version == Version::HTTP_11) {
        return Err(Refusal::NotOneHost);
    }
    Ok(())
}

/// An answer as HTTP.
pub(crate) fn written(reply: Reply) -> Response {
    let headers: HeaderMap = reply.headers.into_iter().collect();
    (reply.status, headers, reply.body).into_response()
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
    let plan = shared.engine.plan();
    let reason = shared.trouble().await;
    let (code, status) = match reason {
        None => (StatusCode::OK, "healthy"),
        Some(_) => (StatusCode::SERVICE_UNAVAILABLE, "unhealthy"),
    };
    let page = Health {
        status,
        providers: plan.providers(),
        timestamp: Timestamp::from_secs(shared.engine.now().as_secs()),
        unverified: plan.unverified().into_iter().map(str::to_owned).collect(),
        durable: (!shared.engine.store().durable()).then_some(false),
        reason,
    };
    written(Reply::json(code, &page))
}
