//! Listing and showing events.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use hookward_core::store::{Cursor, EventDetail, EventPage, Filter, Status};
use hookward_core::{EventId, Timestamp};
use hookward_engine::replay::{parse_status, require_browse};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::admin::Failure;
use crate::admin::detail;
use crate::hooks::Shared;

/// Events of one page, where not said.
const PAGE: usize = 50;
/// Events of one page at most.
const MAX_PAGE: usize = 500;

/// The filter of a listing or a replay, as it comes in a query or a body.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    source: Option<String>,
    #[serde(rename = "type")]
    event_type: Option<String>,
    status: Option<String>,
    q: Option<String>,
    since: Option<String>,
    until: Option<String>,
    #[serde(default, deserialize_with = "number")]
    pub(crate) limit: Option<usize>,
    cursor: Option<String>,
    #[serde(default, rename = "dryRun")]
    pub(crate) dry_run: bool,
}

/// A number, or the digits of one: a query has only texts.
fn number<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Option<usize>, D::Error> {
    match Value::deserialize(d)? {
        Value::Null => Ok(None),
        // Never taken for "no limit": that would replay everything.
        Value::Number(n) => match n.as_u64().and_then(|n| usize::try_from(n).ok()) {
            Some(n) => Ok(Some(n)),
            None => Err(serde::de::Error::custom("`limit` is a whole number from 0")),
        },
        Value::String(text) => text.parse().map(Some).map_err(serde::de::Error::custom),
        _ => Err(serde::de::Error::custom("`limit` is a number")),
    }
}

impl Wanted {
    pub(crate) fn filter(&self) -> Result<Filter, Failure> {
        let time = |name: &str, text: &Option<String>| match text.as_deref() {
            None | Some("") => Ok(None),
            Some(text) => Timestamp::parse_rfc3339(text).map(Some).ok_or_else(|| {
                let example = "2026-11-23T13:00:00Z";
                Failure::bad_request(format!("`{name}` is not RFC 3339, such as {example}"))
            }),
        };
        let given = |text: &Option<String>| text.clone().filter(|t| !t.is_empty());
        Ok(Filter {
            source: given(&self.source),
            event_type: given(&self.event_type),
            status: given(&self.status)
                .map(|s| parse_status(&s).map_err(Failure::bad_request))
                .transpose()?,
            q: given(&self.q),
            since: time("since", &self.since)?,
            until: time("until", &self.until)?,
        })
    }

    fn page(&self) -> Result<(usize, Option<Cursor>), Failure> {
        let limit = self.limit.unwrap_or(PAGE).clamp(1, MAX_PAGE);
        let cursor = match self.cursor.as_deref() {
            None | Some("") => None,
            Some(text) => {
                let wrong = || Failure::bad_request("`cursor` is what `next` of a page says");
                Some(Cursor(text.parse().map_err(|_| wrong())?))
            }
        };
        Ok((limit, cursor))
    }
}

pub(crate) async fn list(
    State(shared): State<Arc<Shared>>,
    query: Result<Query<Wanted>, QueryRejection>,
) -> Result<Json<Value>, Failure> {
    let Query(wanted) = query?;
    page_of(&shared, &wanted, wanted.filter()?).await.map(Json)
}

/// The events with a job in the dead letters, each with its dead jobs.
pub(crate) async fn dead(
    State(shared): State<Arc<Shared>>,
    query: Result<Query<Wanted>, QueryRejection>,
) -> Result<Json<Value>, Failure> {
    let Query(wanted) = query?;
    let filter = Filter { status: Some(Status::Dead), ..wanted.filter()? };
    let (limit, after) = wanted.page()?;
    let browse = require_browse(shared.engine.store().as_ref())?;
    let page = browse.list(&filter, limit, after).await?;
    let mut events = Vec::new();
    for summary in &page.events {
        let Some(found) = browse.show(summary.id).await? else { continue };
        let mut event = json!(summary);
        if let Some(event) = event.as_object_mut() {
            event.insert("dead".to_owned(), detail::dead_jobs(&found));
        }
        events.push(event);
    }
    Ok(Json(json!({"events": events, "next": next(&page)})))
}

async fn page_of(shared: &Shared, wanted: &Wanted, filter: Filter) -> Result<Value, Failure> {
    let (limit, after) = wanted.page()?;
    let browse = require_browse(shared.engine.store().as_ref())?;
    let page = browse.list(&filter, limit, after).await?;
    Ok(json!({"events": page.events, "next": next(&page)}))
}

fn next(page: &EventPage) -> Option<String> {
    page.next.map(|Cursor(n)| n.to_string())
}

pub(crate) async fn show(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Failure> {
    found(&shared, &id).await.map(|detail| Json(detail::of(&detail)))
}

/// By our id or the provider's; of several with the provider's id, the newest.
pub(crate) async fn found(shared: &Shared, id: &str) -> Result<EventDetail, Failure> {
    let browse = require_browse(shared.engine.store().as_ref())?;
    let missing = || Failure::not_found(format!("there is no event `{id}`"));
    if let Ok(ours) = id.parse::<EventId>()
        && let Some(detail) = browse.show(ours).await?
    {
        return Ok(detail);
    }
    let named = browse.find(id, 1).await?.into_iter().next().ok_or_else(missing)?;
    browse.show(named).await?.ok_or_else(missing)
}
