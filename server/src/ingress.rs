//! The receiving port: passes requests to the engine and its replies back, and serves `/health`.
//! Decides nothing about a request beyond the form of its head.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::response::Response;
use axum::routing::{MethodRouter, any, get};
use hookward_core::{Head, Reply, Timestamp};
use hookward_engine::ingest::{Rejection, resolve_client};
use http::{Method, StatusCode};

use crate::body::BoundedBody;
use crate::connection_table::ConnectionProgress;
use crate::head_validation;
use crate::peer_certificate::PeerCertificate;
use crate::response::into_response;
use crate::shared::Shared;

/// The path of the health page. Load balancers call it, so it answers without a source.
const HEALTH_PATH: &str = "/health";
/// Where the path of a source begins unless routes.yaml says otherwise.
const SOURCE_PREFIX: &str = "/webhooks/";

/// The paths of all sources and `/health`, for merging into an app's router.
pub(crate) fn router(shared: Arc<Shared>) -> Router {
    let mut router = Router::new()
        .route(HEALTH_PATH, health_page())
        // A wildcard, so that sources which a reload adds under the prefix are found.
        .route("/webhooks/{*source}", any(receive));
    let config = shared.engine.config();
    for path in config.sources_by_path.keys().filter(|path| !path.starts_with(SOURCE_PREFIX)) {
        router = router.route(path, any(receive));
    }
    router.with_state(shared)
}

/// `/health`, and every other path as that of a source: for a server without pages of its own.
pub(crate) fn standalone(shared: Arc<Shared>) -> Router {
    Router::new().route(HEALTH_PATH, health_page()).fallback(receive).with_state(shared)
}

/// GET and HEAD get the health page; any other method gets the error that a source would give.
fn health_page() -> MethodRouter<Arc<Shared>> {
    let method_not_allowed = || async {
        into_response(Rejection::Method { allowed: vec![Method::GET, Method::HEAD] }.reply())
    };
    get(health)
        .fallback(method_not_allowed)
        .layer(axum::middleware::from_fn(head_validation::validate_head_layer))
}

async fn receive(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    let client = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|c| c.0.ip());
    if let Err(rejection) = head_validation::validate_head(&mut parts) {
        return into_response(shared.engine.reject("", client, &rejection));
    }
    let target = parts.uri.path_and_query().map_or("/", |t| t.as_str()).to_owned();
    // Memory is shared by the address that sends, and not by the proxy before this server.
    let sender = client.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| {
        resolve_client(peer, &parts.headers, &shared.engine.config().server.trusted_proxies)
    });
    let progress = parts.extensions.remove::<ConnectionProgress>();
    let body = BoundedBody::new(body, shared.body_memory.clone(), sender).with_progress(progress);
    let certificate = parts.extensions.remove::<Arc<PeerCertificate>>();
    if let (Some(certificate), Some(tls)) = (&certificate, &shared.engine.config().server.tls)
        && let Err(reason) = certificate.check(tls)
    {
        let rejection = Rejection::ClientCertificateInvalid { reason };
        return into_response(shared.engine.reject("", client, &rejection));
    }
    let names = certificate.map(|certificate| certificate.names().clone());
    let head = Head::new(parts.method, target, parts.headers)
        .with_client(client)
        .with_client_certificate(names);
    into_response(shared.engine.receive(head, body).await)
}

/// The body of `/health`. Members that do not apply are omitted.
#[derive(serde::Serialize)]
struct Health {
    status: &'static str,
    providers: Vec<&'static str>,
    timestamp: Timestamp,
    /// Sources that accept unsigned requests (`provider: none`).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unverified: Vec<String>,
    /// Present as `false` if acknowledged events are lost at a restart (`memory:`).
    #[serde(skip_serializing_if = "Option::is_none")]
    durable: Option<bool>,
    /// Why deliveries cannot be accepted.
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
