//! An accepted event as handlers see it: cheap to clone, its JSON parsed at most once and shared.

use std::sync::Arc;

use crate::body::Body;
use crate::body_error::BodyError;
use crate::clock::Timestamp;
use crate::id::EventId;

/// The parts that an [`Event`] is made from. Stores and tests make events; everybody else reads
/// them.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct EventParts {
    /// The id that Hookward gave the event.
    pub id: EventId,
    /// The source's name in routes.yaml.
    pub source: Arc<str>,
    /// The provider's word for what happened; `None` where the delivery does not say it.
    pub event_type: Option<String>,
    /// The provider's id of the event; `None` where the provider gives none.
    pub event_id: Option<String>,
    /// When the delivery was received.
    pub received_at: Timestamp,
    /// The kept headers: lower-case names, only those on the provider's allow-list.
    pub headers: Arc<[(String, String)]>,
    /// The body as received; for an event of a batch, its own item.
    pub body: Body,
}

impl EventParts {
    /// Parts of an event without type, provider's id and kept headers.
    pub fn new(
        id: EventId,
        source: impl Into<Arc<str>>,
        received_at: Timestamp,
        body: Body,
    ) -> Self {
        Self {
            id,
            source: source.into(),
            event_type: None,
            event_id: None,
            received_at,
            headers: Arc::default(),
            body,
        }
    }

    setters! {
        with_event_type => event_type: into Option<String>;
        with_event_id => event_id: into Option<String>;
        with_headers => headers: Arc<[(String, String)]>;
        with_body => body: Body;
    }
}

/// An accepted event: what handlers work on. A clone shares body and parsed JSON.
///
/// ```
/// use hookward_core::{Body, Event, EventId, EventParts, Timestamp};
///
/// let now = Timestamp::from_secs(1_760_000_000);
/// let body = Body::new(r#"{"amount":42}"#);
/// let event = Event::new(EventParts::new(EventId::generate(now), "shop", now, body));
/// assert_eq!(event.source(), "shop");
/// assert_eq!(event.json().unwrap()["amount"], 42);
///
/// // What a step that transforms the body passes on.
/// let next = event.with_body(Body::new("{}"));
/// assert_eq!(next.id(), event.id());
/// ```
#[derive(Debug, Clone)]
pub struct Event(Arc<EventParts>);

impl Event {
    /// Makes an event from its parts.
    pub fn new(parts: EventParts) -> Self {
        Self(Arc::new(parts))
    }

    /// The id that Hookward gave the event when it was accepted.
    pub fn id(&self) -> EventId {
        self.0.id
    }

    /// The source's name in routes.yaml.
    pub fn source(&self) -> &str {
        &self.0.source
    }

    /// The provider's word for what happened; `None` where the delivery does not say it.
    pub fn event_type(&self) -> Option<&str> {
        self.0.event_type.as_deref()
    }

    /// The provider's id of the event; `None` where the provider gives none.
    pub fn event_id(&self) -> Option<&str> {
        self.0.event_id.as_deref()
    }

    /// When the delivery was received.
    pub fn received_at(&self) -> Timestamp {
        self.0.received_at
    }

    /// The kept headers: lower-case names, only those on the provider's allow-list.
    pub fn headers(&self) -> &[(String, String)] {
        &self.0.headers
    }

    /// The value of a kept header, by its lower-case name; the first one where it was repeated.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.0.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// The body as received, or as the step before replaced it.
    pub fn body(&self) -> &Body {
        &self.0.body
    }

    /// The body as strict JSON ([`parse_strict`](crate::parse_strict)), parsed at most once.
    ///
    /// # Errors
    /// [`BodyError`] where the body is not strict JSON.
    pub fn json(&self) -> Result<&serde_json::Value, &BodyError> {
        self.0.body.json()
    }

    /// The same event with another body, for [`Flow::Replace`](crate::Flow::Replace).
    #[must_use]
    pub fn with_body(&self, body: Body) -> Self {
        Self(Arc::new(EventParts { body, ..(*self.0).clone() }))
    }

    /// The parts of the event, for making another one.
    pub fn parts(&self) -> &EventParts {
        &self.0
    }
}
