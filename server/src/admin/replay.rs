//! Runs stored events again: one event, or every event that matches a filter.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use bytes::Bytes;
use hookward_engine::replay::ReplayCounts;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::admin::error::AdminError;
use crate::admin::events::find_event;
use crate::admin::query::EventQuery;
use crate::shared::Shared;

/// The body of `POST /api/v1/events/{id}/replay`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ReplayEventRequest {
    /// The only route to run; absent: those that took the event before.
    route: Option<String>,
}

/// Decodes a JSON body; an empty body counts as an empty object.
fn parse_body<T: DeserializeOwned + Default>(body: &Bytes) -> Result<T, AdminError> {
    if body.is_empty() {
        return Ok(T::default());
    }
    serde_json::from_slice(body)
        .map_err(|e| AdminError::bad_request(format!("the body is not valid: {e}")))
}

/// `POST /api/v1/events/{id}/replay`: answers with the number of jobs that run again.
pub(crate) async fn replay_event(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<(StatusCode, Json<serde_json::Value>), AdminError> {
    let request: ReplayEventRequest = parse_body(&body)?;
    let id = find_event(&shared, &id).await?.event.id();
    let jobs = shared.engine.replay_event(id, request.route.as_deref()).await?;
    Ok((StatusCode::ACCEPTED, Json(serde_json::json!({"jobs": jobs}))))
}

/// `POST /api/v1/replay`: answers with the numbers of events and jobs that run again, or would.
pub(crate) async fn replay_matching(
    State(shared): State<Arc<Shared>>,
    body: Bytes,
) -> Result<(StatusCode, Json<ReplayCounts>), AdminError> {
    let query: EventQuery = parse_body(&body)?;
    let (filter, limit) = (query.filter()?, query.replay_limit());
    let counts = shared.engine.replay_matching(&filter, limit, query.is_dry_run()).await?;
    Ok((StatusCode::ACCEPTED, Json(counts)))
}
