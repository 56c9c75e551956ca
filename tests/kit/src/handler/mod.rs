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
use hookward_core::{Body, Event, EventId, EventParts, HandlerCx, Timestamp};

/// When the sample events were received: 2025-10-09T08:53:20Z.
pub const RECEIVED_AT: Timestamp = Timestamp::from_secs(1_760_000_000);

/// The parts of an event of source `partner`; a test changes the parts that it needs.
pub fn sample_parts(event_type: &str, body: impl Into<Bytes>) -> EventParts {
    EventParts {
        id: EventId::generate(RECEIVED_AT),
        source: Arc::from("partner"),
        event_type: Some(event_type.to_owned()),
        event_id: Some("evt_1".to_owned()),
        received_at: RECEIVED_AT,
        headers: Arc::from([("content-type".to_owned(), "application/json".to_owned())]),
        body: Body::new(body),
    }
}

/// An event of source `partner` with a new id.
pub fn sample_event(event_type: &str, body: impl Into<Bytes>) -> Event {
    Event::new(sample_parts(event_type, body))
}

/// The first attempt at `event` on route `sample`, with 30 s to go by the clock of the event. For
/// another: `HandlerCx { attempt: 2, ..cx(&event) }`.
pub fn cx(event: &Event) -> HandlerCx {
    HandlerCx {
        route: Arc::from("sample"),
        step: Arc::from("step"),
        job: JobId { event: event.id(), n: 0 },
        attempt: 1,
        deadline: event.received_at().plus(Duration::from_secs(30)),
        replay: false,
        event: event.id(),
    }
}
