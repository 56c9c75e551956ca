//! Probes, metrics, the configuration in force, and totals of the store.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use hookward_core::plugin::{Plugin, Registry};
use hookward_core::store::{EventFilter, RouteDepth};
use hookward_engine::compiled::{Route, Source, Step};
use serde_json::{Value, json};

use crate::admin::error::AdminError;
use crate::shared::Shared;

/// `GET /livez`: succeeds while the process answers at all.
pub(crate) async fn live() -> &'static str {
    "ok\n"
}

/// `GET /readyz`: succeeds while deliveries can be accepted; 503 with the reason otherwise.
pub(crate) async fn ready(State(shared): State<Arc<Shared>>) -> Response {
    match shared.engine.health_problem().await {
        None => "ok\n".into_response(),
        Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response(),
    }
}

/// `GET /metrics`: the recorder's metrics; 404 if the app has a recorder of its own.
pub(crate) async fn metrics(State(shared): State<Arc<Shared>>) -> Result<Response, AdminError> {
    match shared.metrics.render() {
        Some(text) => {
            Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response())
        }
        None => Err(AdminError::not_found("metrics are rendered by the app's own recorder")),
    }
}

/// `GET /api/v1/sources`: the sources of the configuration in force, without their secrets.
pub(crate) async fn sources(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let config = shared.engine.config();
    let source_json = |source: &Arc<Source>| {
        json!({
            "name": source.name, "path": source.path, "provider": source.provider_name,
            "verified": source.verified, "secrets": source.secrets.all().len(),
            "methods": source.methods.iter().map(|m| m.as_str()).collect::<Vec<_>>(), "bodyLimit": source.limits.body,
        })
    };
    Json(json!({"sources": config.sources.values().map(source_json).collect::<Vec<_>>()}))
}

/// `GET /api/v1/routes`: the routes of the configuration in force, in the order of the file.
pub(crate) async fn routes(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let config = shared.engine.config();
    let step_json = |step: &Step| json!({"name": step.name, "handler": step.handler_name});
    let route_json = |route: &Arc<Route>| {
        json!({
            "name": route.name,
            "events": route.events.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "match": route.pattern.is_some(),
            "when": route.when.as_ref().map(|w| w.text()),
            "schema": route.schema.as_ref().map(|s| s.name()),
            "chain": route.chain.iter().map(step_json).collect::<Vec<_>>(),
            "concurrency": route.concurrency,
            "attempts": route.retry.attempts,
        })
    };
    Json(json!({"routes": config.route_table.all().iter().map(route_json).collect::<Vec<_>>()}))
}

/// `GET /api/v1/plugins`: the plugins that routes.yaml may name.
pub(crate) async fn plugins(State(shared): State<Arc<Shared>>) -> Json<Value> {
    Json(json!({"plugins": plugin_list(&shared.loader.registry)}))
}

/// `GET /api/v1/stats`: open and dead jobs by route, and the result of the last reload.
pub(crate) async fn stats(State(shared): State<Arc<Shared>>) -> Result<Json<Value>, AdminError> {
    let depth = shared.engine.store().depth().await?;
    let newest = match shared.engine.store().browse() {
        Some(browse) => {
            browse.list(&EventFilter::default(), 1, None).await?.events.into_iter().next()
        }
        None => None,
    };
    let route_json = |d: &RouteDepth| json!({"route": d.route, "open": d.open, "dead": d.dead});
    Ok(Json(json!({
        "routes": depth.routes.iter().map(route_json).collect::<Vec<_>>(),
        "open": depth.routes.iter().map(|d| d.open).sum::<u64>(),
        "dead": depth.routes.iter().map(|d| d.dead).sum::<u64>(),
        "oldestPending": depth.oldest,
        "newestEvent": newest.map(|e| e.received_at),
        "lastReloadError": shared.last_reload_error(),
    })))
}

/// Every plugin of a registry as `{"kind","name","crate","version","summary"}`, sorted by kind and
/// name: the list of `GET /api/v1/plugins` and of `hookward plugins --json`.
pub fn plugin_list(registry: &Registry) -> Value {
    let plugin_json = |plugin: &Plugin| {
        let origin = plugin.origin();
        json!({
            "kind": plugin.kind(), "name": plugin.name(), "crate": origin.crate_name,
            "version": origin.version, "summary": plugin.summary(),
        })
    };
    registry.all().map(plugin_json).collect()
}
