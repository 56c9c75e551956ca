//! Tests of handlers: the conformance suite ([`handler_suite!`](crate::handler_suite)), sample events, and a
//! [`Recorder`] that stands in for a handler.

mod conformance;
mod recorder;

pub use conformance::Subject;
pub use recorder::{Play, Recorder, Run};

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hookward_core::store::JobId;
use hookward_core::{Body, Event, EventId, EventParts, HandlerCx, SystemClock, Timestamp};

/// When the sample events were received: 2025-10-09T08:53:20Z.
pub const RECEIVED_AT: Timestamp = Timestamp::from_secs(1_760_000_000);

/// The parts of an event of source `partner`; a test changes the parts that it needs.
pub fn sample_parts(event_type: &str, body: impl Into<Bytes>) -> EventParts {
    EventParts::new(EventId::generate(RECEIVED_AT), "partner", RECEIVED_AT, Body::new(body))
        .with_event_type(event_type.to_owned())
        .with_event_id("evt_1".to_owned())
        .with_headers(Arc::from([("content-type".to_owned(), "application/json".to_owned())]))
}

/// An event of source `partner` with a new id.
pub fn sample_event(event_type: &str, body: impl Into<Bytes>) -> Event {
    Event::new(sample_parts(event_type, body))
}

/// The first attempt at `event` on route `sample`, whose step has 30 s from now on. For the second
/// attempt: `cx(&event).with_attempt(2)`.
pub fn cx(event: &Event) -> HandlerCx {
    let job = JobId { event: event.id(), n: 0 };
    HandlerCx::new("sample", "step", job, Duration::from_secs(30), Arc::new(SystemClock))
}
