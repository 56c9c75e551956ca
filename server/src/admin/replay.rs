//! Making events run again: one, or all that a filter lets through.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use bytes::Bytes;
use hookward_engine::replay::ReplayCounts;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::admin::Failure;
use crate::admin::events::{Wanted, found};
use crate::hooks::Shared;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct One {
    route: Option<String>,
}

/// An empty body is an empty object.
fn read<T: DeserializeOwned + Default>(body: &Bytes) -> Result<T, Failure> {
    if body.is_empty() {
        return Ok(T::default());
    }
    serde_json::from_slice(body).map_err(|e| Failure::bad_request(format!("the body: {e}")))
}

pub(crate) async fn one(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<(StatusCode, Json<serde_json::Value>), Failure> {
    let one: One = read(&body)?;
    let id = found(&shared, &id).await?.event.id();
    let jobs = shared.engine.replay_event(id, one.route.as_deref()).await?;
    Ok((StatusCode::ACCEPTED, Json(serde_json::json!({"jobs": jobs}))))
}

pub(crate) async fn many(
    State(shared): State<Arc<Shared>>,
    body: Bytes,
) -> Result<(StatusCode, Json<ReplayCounts>), Failure> {
    let wanted: Wanted = read(&body)?;
    let (filter, limit) = (wanted.filter()?, wanted.limit.unwrap_or(usize::MAX));
    let done = shared.engine.replay_matching(&filter, limit, wanted.dry_run).await?;
    Ok((StatusCode::ACCEPTED, Json(done)))
}
