//! Sample deliveries for tests of stores.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use hookward_core::store::{
    AttemptOutcome, AttemptRecord, DedupeKey, DedupeKeyKind, NewDelivery, NewEvent, NewJob,
    NewStatus,
};
use hookward_core::{Body, EventId, Reply, Timestamp};
use http::{HeaderValue, StatusCode, header};

/// The time at which the suite starts: 2025-10-09T08:53:20Z.
pub fn now() -> Timestamp {
    Timestamp::from_secs(1_760_000_000)
}

/// Makes a dedupe key from a word; equal words make equal keys.
pub fn key(kind: DedupeKeyKind, word: &str) -> DedupeKey {
    let half = |salt: u8| {
        let mut hasher = DefaultHasher::new();
        (salt, kind == DedupeKeyKind::Content, word).hash(&mut hasher);
        hasher.finish()
    };
    DedupeKey::new(kind, (u128::from(half(0)) << 64 | u128::from(half(1))).to_be_bytes())
}

/// An answer that no code could reconstruct: unusual status, headers and bytes.
pub fn answer(word: &str) -> Reply {
    let odd = HeaderValue::from_bytes(b" two  \xe9 ").unwrap_or(HeaderValue::from_static("odd"));
    let kind = HeaderValue::from_static("application/json");
    Reply::empty(StatusCode::ACCEPTED)
        .with_header(header::CONTENT_TYPE, kind)
        .with_header(header::ETAG, odd.clone())
        .with_header(header::ETAG, odd)
        .with_body([b"\xff\x00\r\n\r\n", word.as_bytes()].concat())
}

/// A delivery of one event with the provider id `id` and the type `order.paid`. The event has dedupe keys
/// for id and content, and one job for the route `orders`. It is received at [`now`], with a dedupe window of seven days.
pub fn delivery(id: &str) -> NewDelivery {
    let received_at = now();
    NewDelivery::new("partner", Body::new(format!(r#"{{"id":"{id}"}}"#)), received_at, answer(id))
        .with_headers(Arc::from([("content-type".to_owned(), "application/json".to_owned())]))
        .with_dedupe_since(received_at.minus(Duration::from_secs(7 * 86_400)))
        .with_events(vec![event(id)])
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
    NewEvent::new(EventId::generate(now()), NewStatus::Routed)
        .with_event_type("order.paid".to_owned())
        .with_event_id(id.to_owned())
        .with_keys(vec![key(DedupeKeyKind::Id, id), key(DedupeKeyKind::Content, id)])
        .with_jobs(vec![job("orders", None)])
}

pub(super) fn job(route: &str, order_key: Option<&str>) -> NewJob {
    let order_key = order_key.map(str::to_owned);
    NewJob::new(route).with_order_key(order_key)
}

/// The record that a worker makes of an attempt.
pub(super) fn record(attempt: u32, outcome: AttemptOutcome) -> AttemptRecord {
    AttemptRecord::new(attempt, now().to_string(), outcome)
        .with_step("send".to_owned())
        .with_duration_ms(12)
        .with_error((outcome != AttemptOutcome::Done).then(|| "it said \"no\", twice".to_owned()))
}
