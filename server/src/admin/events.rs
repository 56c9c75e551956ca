//! Lists and shows events.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use hookward_core::EventId;
use hookward_core::store::{EventDetail, EventPage, EventStatus, PageCursor};
use hookward_engine::replay::require_browse;
use serde_json::{Value, json};

use crate::admin::error::AdminError;
use crate::admin::event_json::{dead_jobs_json, event_json};
use crate::admin::query::EventQuery;
use crate::shared::Shared;

/// `GET /api/v1/events`: one page of events, newest first.
pub(crate) async fn list(
    State(shared): State<Arc<Shared>>,
    query: Result<Query<EventQuery>, QueryRejection>,
) -> Result<Json<Value>, AdminError> {
    let Query(query) = query?;
    let (filter, (limit, after)) = (query.filter()?, query.page()?);
    let browse = require_browse(shared.engine.store().as_ref())?;
    let page = browse.list(&filter, limit, after).await?;
    Ok(Json(json!({"events": page.events, "next": next_cursor(&page)})))
}

/// `GET /api/v1/dead`: the events with a dead job, each with its dead jobs.
pub(crate) async fn list_dead(
    State(shared): State<Arc<Shared>>,
    query: Result<Query<EventQuery>, QueryRejection>,
) -> Result<Json<Value>, AdminError> {
    let Query(query) = query?;
    let filter = query.filter()?.with_status(EventStatus::Dead);
    let (limit, after) = query.page()?;
    let browse = require_browse(shared.engine.store().as_ref())?;
    let page = browse.list(&filter, limit, after).await?;
    let mut events = Vec::new();
    for summary in &page.events {
        // Purged since the listing.
        let Some(detail) = browse.show(summary.id).await? else { continue };
        let mut event = json!(summary);
        if let Some(event) = event.as_object_mut() {
            event.insert("dead".to_owned(), dead_jobs_json(&detail));
        }
        events.push(event);
    }
    Ok(Json(json!({"events": events, "next": next_cursor(&page)})))
}

/// The cursor of the next page as text, so that clients do not calculate with it.
fn next_cursor(page: &EventPage) -> Option<String> {
    page.next.map(|PageCursor(n)| n.to_string())
}

/// `GET /api/v1/events/{id}`: one event with everything that the store holds of it.
pub(crate) async fn show(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
) -> Result<Json<Value>, AdminError> {
    find_event(&shared, &id).await.map(|detail| Json(event_json(&detail)))
}

/// Finds an event by Hookward's id or the provider's; of several events with the same provider id,
/// the newest.
pub(crate) async fn find_event(shared: &Shared, id: &str) -> Result<EventDetail, AdminError> {
    let browse = require_browse(shared.engine.store().as_ref())?;
    let missing = || AdminError::not_found(format!("there is no event `{id}`"));
    if let Ok(event_id) = id.parse::<EventId>()
        && let Some(detail) = browse.show(event_id).await?
    {
        return Ok(detail);
    }
    let newest = browse.find(id, 1).await?.into_iter().next().ok_or_else(missing)?;
    browse.show(newest).await?.ok_or_else(missing)
}
