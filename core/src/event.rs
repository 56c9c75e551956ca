//! An accepted event as handlers see it: cheap to clone, its JSON read once and shared.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use uuid::Uuid;

use crate::body::{Body, BodyError};
use crate::clock::Timestamp;

/// Our id of an event: a UUID v7, so ids sort by the time of acceptance.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(Uuid);

impl EventId {
    /// A fresh id for something accepted at `now`. Its random part tells ids of one millisecond
    /// apart; it is not a secret, so it needs no system call.
    pub fn generate(now: Timestamp) -> Self {
        let millis = u64::try_from(now.as_millis()).unwrap_or(0);
        let mut random = [0; 10];
        fastrand::fill(&mut random);
        Self(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
    }

    /// The sixteen bytes.
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// From sixteen bytes, as a store kept them.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl fmt::Debug for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for EventId {
    type Err = uuid::Error;
    fn from_str(text: &str) -> Result<Self, uuid::Error> {
        Uuid::try_parse(text).map(Self)
    }
}

impl serde::Serialize for EventId {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

/// Everything an [`Event`] is made of.
#[derive(Debug, Clone)]
pub struct EventParts {
    /// Our id.
    pub id: EventId,
    /// The source's name in routes.yaml.
    pub source: Arc<str>,
    /// The provider's own word for what happened; `None` where it could not be read.
    pub event_type: Option<String>,
    /// The provider's id.
    pub event_id: Option<String>,
    /// When it was received.
    pub received_at: Timestamp,
    /// The kept headers: lower-case names, by allow-list.
    pub headers: Arc<[(String, String)]>,
    /// The body as received; in a batch, the event's own item.
    pub body: Body,
}

/// An accepted event. A clone shares everything.
#[derive(Debug, Clone)]
pub struct Event(Arc<EventParts>);

impl Event {
    /// Puts an event together: the engine's and the stores' business, and tests'.
    pub fn new(parts: EventParts) -> Self {
        Self(Arc::new(parts))
    }

    /// Our id.
    pub fn id(&self) -> EventId {
        self.0.id
    }

    /// The source's name in routes.yaml.
    pub fn source(&self) -> &str {
        &self.0.source
    }

    /// The provider's own word for what happened.
    pub fn event_type(&self) -> Option<&str> {
        self.0.event_type.as_deref()
    }

    /// The provider's id.
    pub fn event_id(&self) -> Option<&str> {
        self.0.event_id.as_deref()
    }

    /// When it was received.
    pub fn received_at(&self) -> Timestamp {
        self.0.received_at
    }

    /// The kept headers, lower-case names.
    pub fn headers(&self) -> &[(String, String)] {
        &self.0.headers
    }

    /// One kept header, by its lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.0.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// The body.
    pub fn body(&self) -> &Body {
        &self.0.body
    }

    /// The body as strict JSON.
    pub fn json(&self) -> Result<&serde_json::Value, &BodyError> {
        self.0.body.json()
    }

    /// The same event with another body: what a transforming step hands on.
    #[must_use]
    pub fn with_body(&self, body: Body) -> Self {
        Self(Arc::new(EventParts { body, ..(*self.0).clone() }))
    }

    /// All parts.
    pub fn parts(&self) -> &EventParts {
        &self.0
    }
}
