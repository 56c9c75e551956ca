//! The ids that Hookward gives: [`EventId`] to events and [`JobId`] to the jobs of an event.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

use crate::clock::Timestamp;

/// The id that Hookward gives an event: a UUID of version 7, made when the event is accepted. It
/// sorts by the time of acceptance, stays the same for as long as the event is stored, and is what
/// the API, the CLI and [`HandlerCx::idempotency_key`](crate::HandlerCx::idempotency_key) show.
///
/// ```
/// use hookward_core::{EventId, Timestamp};
///
/// let id = EventId::generate(Timestamp::from_secs(1_760_000_000));
/// assert_eq!(id.to_string().parse(), Ok(id));
/// assert!("evt_1".parse::<EventId>().is_err());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(Uuid);

impl EventId {
    /// A fresh id for an event accepted at `now`. Its 74 random bits come from a cryptographic
    /// generator: whoever has seen ids of other events cannot guess the next one.
    pub fn generate(now: Timestamp) -> Self {
        let mut random = [0; 10];
        rand::fill(&mut random);
        Self::from_random(now, random)
    }

    /// The id of an event accepted at `now`, with these random bits.
    pub fn from_random(now: Timestamp, random: [u8; 10]) -> Self {
        let millis = u64::try_from(now.as_millis()).unwrap_or(0);
        Self(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
    }

    /// The sixteen bytes of the UUID: the form in which stores write it.
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// An id from its sixteen bytes, as a store read them. Every value is accepted.
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
    type Err = ParseEventIdError;

    fn from_str(text: &str) -> Result<Self, ParseEventIdError> {
        Uuid::try_parse(text).map(Self).map_err(|_| ParseEventIdError(()))
    }
}

impl serde::Serialize for EventId {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

/// A text that is not an [`EventId`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an event id; it is a UUID, such as 0199c000-0000-7000-8000-000000000000")]
pub struct ParseEventIdError(());

/// The id of a job: its event and its number within the event, written `EVENT.N`. Known before the
/// event is stored, because the stored answer names it.
///
/// Both fields are all there is to it, so it can be written as a literal; no field will be added.
///
/// ```
/// use hookward_core::{EventId, JobId};
///
/// let job = JobId { event: EventId::from_bytes([7; 16]), n: 0 };
/// assert_eq!(job.to_string(), "07070707-0707-0707-0707-070707070707.0");
/// assert_eq!(job.to_string().parse(), Ok(job));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId {
    /// The event that the job works on.
    pub event: EventId,
    /// The job's number within its event, from 0. Jobs that a replay adds continue the count.
    pub n: u32,
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.event, self.n)
    }
}

impl FromStr for JobId {
    type Err = ParseJobIdError;

    fn from_str(text: &str) -> Result<Self, ParseJobIdError> {
        let parts = text.split_once('.');
        let id = parts
            .and_then(|(event, n)| Some(Self { event: event.parse().ok()?, n: n.parse().ok()? }));
        id.ok_or_else(|| ParseJobIdError { text: text.to_owned() })
    }
}

/// A text that is not a [`JobId`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a job id (EVENT.N)")]
pub struct ParseJobIdError {
    text: String,
}
