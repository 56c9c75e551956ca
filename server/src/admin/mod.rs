//! The admin port: what an operator sees and may do, as JSON under `/api/v1`, and the probes and
//! metrics that machines ask for. Everything that reads or changes events goes through the store's
//! `Browse` ability.

mod auth;
mod detail;
mod events;
mod overview;
mod replay;

use std::sync::Arc;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use hookward_core::store::StoreError;
use hookward_engine::replay::ReplayError;
use http_body_util::BodyExt;

use crate::hooks::Shared;

/// The description of the API, as served.
pub const OPENAPI: &str = include_str!("openapi.json");

/// All of it, behind the token where there is one.
pub(crate) fn router(shared: Arc<Shared>) -> Router {
    let probes =
        Router::new().route("/livez", get(overview::live)).route("/readyz", get(overview::ready));
    let guarded = Router::new()
        .route("/metrics", get(overview::metrics))
        .route("/openapi.json", get(|| async { json_text(OPENAPI) }))
        .route("/api/v1/events", get(events::list))
        .route("/api/v1/events/{id}", get(events::show))
        .route("/api/v1/events/{id}/replay", post(replay::one))
        .route("/api/v1/dead", get(events::dead))
        .route("/api/v1/replay", post(replay::many))
        .route("/api/v1/sources", get(overview::sources))
        .route("/api/v1/routes", get(overview::routes))
        .route("/api/v1/plugins", get(overview::plugins))
        .route("/api/v1/stats", get(overview::stats))
        .layer(axum::middleware::from_fn_with_state(shared.clone(), auth::guard));
    probes
        .merge(guarded)
        .fallback(|| async { Failure::not_found("no such page") })
        .layer(axum::middleware::map_response(in_words))
        .layer(axum::middleware::from_fn(crate::head_validation::layer))
        .with_state(shared)
}

/// Refusals of the router itself, such as a wrong method, say `{"error":…}` like all others. The
/// readiness probe's words are for people and stay as they are.
async fn in_words(response: Response) -> Response {
    let status = response.status();
    let json = |v: &axum::http::HeaderValue| v.as_bytes().starts_with(b"application/json");
    if !status.is_client_error() || response.headers().get(header::CONTENT_TYPE).is_some_and(json) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    // A router's own words, and bounded.
    #[allow(clippy::disallowed_methods, reason = "limited in the same line")]
    let said = http_body_util::Limited::new(body, 4096).collect().await;
    let said = said.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let message = match std::str::from_utf8(&said) {
        Ok(text) if !text.is_empty() => text.to_owned(),
        _ => status.canonical_reason().unwrap_or("refused").to_lowercase(),
    };
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.remove(header::CONTENT_TYPE);
    (parts, Failure { status, message }).into_response()
}

fn json_text(text: &'static str) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}

/// Why an admin call failed: `{"error":…}`.
#[derive(Debug)]
pub(crate) struct Failure {
    status: StatusCode,
    message: String,
}

impl Failure {
    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, message: message.into() }
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self { status: StatusCode::NOT_FOUND, message: message.into() }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (self.status, axum::Json(serde_json::json!({"error": self.message}))).into_response()
    }
}

impl From<axum::extract::rejection::QueryRejection> for Failure {
    fn from(e: axum::extract::rejection::QueryRejection) -> Self {
        Self::bad_request(e.body_text())
    }
}

impl From<StoreError> for Failure {
    fn from(e: StoreError) -> Self {
        let status = match e {
            StoreError::NotFound(_) => StatusCode::NOT_FOUND,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self { status, message: e.to_string() }
    }
}

impl From<ReplayError> for Failure {
    fn from(e: ReplayError) -> Self {
        match e {
            ReplayError::Store(e) => e.into(),
            ReplayError::NotBrowsable => {
                Self { status: StatusCode::NOT_IMPLEMENTED, message: e.to_string() }
            }
            ReplayError::NoEvent(_) => Self::not_found(e.to_string()),
            ReplayError::NoRoute { .. } => Self::bad_request(e.to_string()),
        }
    }
}

/// Every plugin as `{"kind","name","crate","version","summary"}`, by kind and name.
pub fn plugin_list(registry: &hookward_core::plugin::Registry) -> serde_json::Value {
    let line = |plugin: &hookward_core::plugin::Plugin| {
        let origin = plugin.origin();
        serde_json::json!({
            "kind": plugin.kind(), "name": plugin.name(), "crate": origin.crate_name,
            "version": origin.version, "summary": plugin.summary(),
        })
    };
    registry.all().map(line).collect()
}
