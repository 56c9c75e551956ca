//! Probes, metrics, and what is configured.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use hookward_core::store::Filter;
use serde_json::{Value, json};

use crate::admin::Failure;
use crate::hooks::Shared;

/// The process answers.
pub(crate) async fn live() -> &'static str {
    "ok\n"
}

/// Deliveries can be taken in.
pub(crate) async fn ready(State(shared): State<Arc<Shared>>) -> Response {
    match shared.engine.health_problem().await {
        None => "ok\n".into_response(),
        Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response(),
    }
}

pub(crate) async fn metrics(State(shared): State<Arc<Shared>>) -> Response {
    match shared.metrics.render() {
        Some(text) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response(),
        None => {
            Failure::not_found("metrics are rendered by the app's own recorder").into_response()
        }
    }
}

pub(crate) async fn sources(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let config = shared.engine.config();
    let line = |source: &Arc<hookward_engine::compiled::Source>| {
        json!({
            "name": source.name, "path": source.path, "provider": source.provider_name,
            "verified": source.verified, "secrets": source.secrets.all().len(),
            "methods": source.methods, "bodyLimit": source.limits.body,
        })
    };
    Json(json!({"sources": config.sources.values().map(line).collect::<Vec<_>>()}))
}

pub(crate) async fn routes(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let config = shared.engine.config();
    let line = |route: &Arc<hookward_engine::compiled::Route>| {
        let step = |s: &hookward_engine::compiled::Step| json!({"name": s.name, "handler": s.handler_name});
        json!({
            "name": route.name,
            "events": route.events.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "match": route.pattern.is_some(),
            "when": route.when.as_ref().map(|w| w.text()),
            "schema": route.schema.as_ref().map(|s| s.name()),
            "chain": route.chain.iter().map(step).collect::<Vec<_>>(),
            "concurrency": route.concurrency,
            "attempts": route.retry.attempts,
        })
    };
    Json(json!({"routes": config.route_table.all().iter().map(line).collect::<Vec<_>>()}))
}

pub(crate) async fn plugins(State(shared): State<Arc<Shared>>) -> Json<Value> {
    Json(json!({"plugins": crate::admin::plugin_list(shared.app.registry())}))
}

pub(crate) async fn stats(State(shared): State<Arc<Shared>>) -> Result<Json<Value>, Failure> {
    let depth = shared.engine.store().depth().await?;
    let reload =
        shared.last_reload.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
    let newest = match shared.engine.store().browse() {
        Some(browse) => browse.list(&Filter::default(), 1, None).await?.events.into_iter().next(),
        None => None,
    };
    let line = |d: &hookward_core::store::RouteDepth| json!({"route": d.route, "open": d.open, "dead": d.dead});
    Ok(Json(json!({
        "routes": depth.routes.iter().map(line).collect::<Vec<_>>(),
        "open": depth.routes.iter().map(|d| d.open).sum::<u64>(),
        "dead": depth.routes.iter().map(|d| d.dead).sum::<u64>(),
        "oldestPending": depth.oldest,
        "newestEvent": newest.map(|e| e.received_at),
        "lastReloadError": reload,
    })))
}
