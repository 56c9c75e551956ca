//! Which events a call is about: the parameters of a listing and the body of a replay.

use hookward_core::Timestamp;
use hookward_core::store::ParseEventStatusError;
use hookward_core::store::{EventFilter, PageCursor};
use serde::Deserialize;
use serde_json::Value;

use crate::admin::error::AdminError;

/// Events per page if the call does not name a `limit`.
const DEFAULT_PAGE_EVENTS: usize = 50;
/// The most events per page; a higher `limit` is lowered to it.
const MAX_PAGE_EVENTS: usize = 500;

/// A filter with paging, as a query string or a JSON body. Unknown members are rejected: a mistyped
/// filter would otherwise match, and replay, every event.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EventQuery {
    source: Option<String>,
    #[serde(rename = "type")]
    event_type: Option<String>,
    status: Option<String>,
    q: Option<String>,
    since: Option<String>,
    until: Option<String>,
    #[serde(default, deserialize_with = "deserialize_limit")]
    limit: Option<usize>,
    cursor: Option<String>,
    #[serde(default, rename = "dryRun")]
    dry_run: bool,
}

/// Reads a whole number, or the digits of one: a query string has only texts.
fn deserialize_limit<'de, D>(deserializer: D) -> Result<Option<usize>, D::Error>
where
    D: serde::Deserializer<'de>,
{
    use serde::de::Error;
    let limit = match Value::deserialize(deserializer)? {
        Value::Null => return Ok(None),
        Value::Number(n) => n.as_u64().and_then(|n| usize::try_from(n).ok()),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    // An invalid number is an error, never "no limit": that would replay every event.
    match limit.filter(|limit| *limit > 0) {
        Some(limit) => Ok(Some(limit)),
        None => Err(Error::custom("`limit` is a whole number from 1")),
    }
}

impl EventQuery {
    /// The store's filter. Empty parameters count as absent, since forms send them.
    pub(crate) fn filter(&self) -> Result<EventFilter, AdminError> {
        let non_empty = |text: &Option<String>| text.clone().filter(|t| !t.is_empty());
        let invalid_status = |e: ParseEventStatusError| AdminError::bad_request(e.to_string());
        let status = non_empty(&self.status).map(|s| s.parse().map_err(invalid_status));
        Ok(EventFilter::new()
            .with_source(non_empty(&self.source))
            .with_event_type(non_empty(&self.event_type))
            .with_status(status.transpose()?)
            .with_q(non_empty(&self.q))
            .with_since(parse_time("since", non_empty(&self.since))?)
            .with_until(parse_time("until", non_empty(&self.until))?))
    }

    /// The size of a page and the cursor after which it begins.
    pub(crate) fn page(&self) -> Result<(usize, Option<PageCursor>), AdminError> {
        let limit = self.limit.unwrap_or(DEFAULT_PAGE_EVENTS).clamp(1, MAX_PAGE_EVENTS);
        let cursor = match self.cursor.as_deref() {
            None | Some("") => None,
            Some(text) => {
                let invalid =
                    || AdminError::bad_request("`cursor` is not the `next` of a previous page");
                Some(PageCursor(text.parse().map_err(|_| invalid())?))
            }
        };
        Ok((limit, cursor))
    }

    /// The most events that a replay may run again; no limit unless the call names one.
    pub(crate) fn replay_limit(&self) -> usize {
        self.limit.unwrap_or(usize::MAX)
    }

    /// Whether a replay only counts what it would run.
    pub(crate) fn is_dry_run(&self) -> bool {
        self.dry_run
    }
}

fn parse_time(name: &str, text: Option<String>) -> Result<Option<Timestamp>, AdminError> {
    let Some(text) = text else { return Ok(None) };
    Timestamp::parse_rfc3339(&text).map(Some).ok_or_else(|| {
        AdminError::bad_request(format!("`{name}` is not RFC 3339, such as 2026-11-23T13:00:00Z"))
    })
}
