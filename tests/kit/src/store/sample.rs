//! Sample deliveries for tests of stores.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use hookward_core::store::{
    AttemptRecord, DedupeKey, KeyKind, NewDelivery, NewEvent, NewJob, NewStatus,
};
use hookward_core::{Body, EventId, Reply, Timestamp};
use http::{HeaderValue, StatusCode, header};

/// The time at which the suite starts: 2025-10-09T08:53:20Z.
pub fn now() -> Timestamp {
    Timestamp::from_secs(1_760_000_000)
}

/// Makes a dedupe key from a word; equal words make equal keys.
pub fn key(kind: KeyKind, word: &str) -> DedupeKey {
    let half = |salt: u8| {
        let mut hasher = DefaultHasher::new();
        (salt, kind == KeyKind::Content, word).hash(&mut hasher);
        hasher.finish()
    };
    DedupeKey { kind, hash: (u128::from(half(0)) << 64 | u128::from(half(1))).to_be_bytes() }
}

/// An answer that no code could reconstruct: unusual status, headers and bytes.
pub fn answer(word: &str) -> Reply {
    let odd = HeaderValue::from_bytes(b" two  \xe9 ").unwrap_or(HeaderValue::from_static("odd"));
    let kind = HeaderValue::from_static("application/json");
    Reply {
        status: StatusCode::ACCEPTED,
        headers: vec![
            (header::CONTENT_TYPE, kind),
            (header::ETAG, odd.clone()),
            (header::ETAG, odd),
        ],
        body: [b"\xff\x00\r\n\r\n", word.as_bytes()].concat().into(),
    }
}

/// A delivery of one event with the provider id `id` and the type `order.paid`. The event has dedupe keys
/// for id and content, and one job for the route `orders`. It is received at [`now`], with a dedupe window of seven days.
pub fn delivery(id: &str) -> NewDelivery {
    let received_at = now();
    NewDelivery {
        source: Arc::from("partner"),
        body: Body::new(format!(r#"{{"id":"{id}"}}"#)),
        headers: Arc::from([("content-type".to_owned(), "application/json".to_owned())]),
        received_at,
        answer: answer(id),
        dedupe_since: received_at.minus(Duration::from_secs(7 * 86_400)),
        events: vec![event(id)],
    }
}

/// The same delivery with one job for each of these routes; without routes it is unrouted.
pub fn with_jobs(id: &str, routes: &[&str]) -> NewDelivery {
    let mut delivery = delivery(id);
    if let Some(event) = delivery.events.first_mut() {
        event.jobs = routes.iter().map(|route| job(route, None)).collect();
        if routes.is_empty() {
            event.status = NewStatus::Unrouted;
        }
    }
    delivery
}

pub(super) fn event(id: &str) -> NewEvent {
    NewEvent {
        id: EventId::generate(now()),
        event_type: Some("order.paid".to_owned()),
        event_id: Some(id.to_owned()),
        part: None,
        keys: vec![key(KeyKind::Id, id), key(KeyKind::Content, id)],
        status: NewStatus::Routed,
        notes: Vec::new(),
        jobs: vec![job("orders", None)],
    }
}

pub(super) fn job(route: &str, order_key: Option<&str>) -> NewJob {
    let order_key = order_key.map(str::to_owned);
    NewJob { route: Arc::from(route), order_key, config_hash: u64::MAX - 7 }
}

/// The record that a worker makes of an attempt.
pub(super) fn record(attempt: u32, outcome: &str) -> AttemptRecord {
    AttemptRecord {
        attempt,
        step: Some("send".to_owned()),
        started_at: now().to_string(),
        duration_ms: 12,
        outcome: outcome.to_owned(),
        error: (outcome != "done").then(|| "it said \"no\", twice".to_owned()),
        cause: None,
    }
}
