//! The admin port: probes and metrics for machines, and events, replays and configuration as JSON
//! under `/api/v1` for operators. Everything that reads or changes events goes through the store's
//! `Browse` ability. `docs/admin.md` describes the calls.

mod auth;
mod error;
mod event_json;
mod events;
mod overview;
mod query;
mod replay;
pub(crate) mod token_attempts;

use std::sync::Arc;

use axum::Router;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http_body_util::{BodyExt, Collected, Limited};

pub use overview::plugin_list;

use crate::head_validation;
use crate::shared::Shared;
use error::AdminError;

/// The OpenAPI description of the admin port, as `GET /openapi.json` serves it.
pub const OPENAPI: &str = include_str!("openapi.json");

/// The most bytes that are read of a rejection which axum wrote as text.
const MAX_REJECTION_BYTES: usize = 4096;

/// All pages of the admin port. The probes are open; everything else is behind [`auth`].
pub(crate) fn router(shared: Arc<Shared>) -> Router {
    let probes =
        Router::new().route("/livez", get(overview::live)).route("/readyz", get(overview::ready));
    let guarded = Router::new()
        .route("/metrics", get(overview::metrics))
        .route("/openapi.json", get(openapi))
        .route("/api/v1/events", get(events::list))
        .route("/api/v1/events/{id}", get(events::show))
        .route("/api/v1/events/{id}/replay", post(replay::replay_event))
        .route("/api/v1/dead", get(events::list_dead))
        .route("/api/v1/replay", post(replay::replay_matching))
        .route("/api/v1/sources", get(overview::sources))
        .route("/api/v1/routes", get(overview::routes))
        .route("/api/v1/plugins", get(overview::plugins))
        .route("/api/v1/stats", get(overview::stats))
        .layer(axum::middleware::from_fn(auth::require_json))
        .layer(axum::middleware::from_fn_with_state(shared.clone(), auth::require_operator));
    probes
        .merge(guarded)
        .fallback(|| async { AdminError::not_found("there is no such page") })
        .layer(axum::middleware::map_response(rejection_as_json))
        .layer(axum::middleware::from_fn(head_validation::validate_head_layer))
        .with_state(shared)
}

async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], OPENAPI).into_response()
}

/// Gives rejections of the router itself, such as 405, the form of every other error. Answers that
/// are JSON already stay as they are, and so does the readiness probe's text, which is a 503.
async fn rejection_as_json(response: Response) -> Response {
    let status = response.status();
    let is_json = |v: &axum::http::HeaderValue| v.as_bytes().starts_with(b"application/json");
    let content_type = response.headers().get(header::CONTENT_TYPE);
    if !status.is_client_error() || content_type.is_some_and(is_json) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    #[expect(clippy::disallowed_methods, reason = "limited in the same line")]
    let text = Limited::new(body, MAX_REJECTION_BYTES).collect().await;
    let text = text.map(Collected::to_bytes).unwrap_or_default();
    let message = match std::str::from_utf8(&text) {
        Ok(text) if !text.is_empty() => text.to_owned(),
        _ => status.canonical_reason().unwrap_or("rejected").to_lowercase(),
    };
    // Those of the text; every other header, such as `Allow`, is kept.
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.remove(header::CONTENT_TYPE);
    (parts, AdminError::new(status, message)).into_response()
}
