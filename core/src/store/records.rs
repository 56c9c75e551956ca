//! What goes into a store and comes out of it on the way of an event.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;

use crate::body::Body;
use crate::clock::Timestamp;
use crate::event::{Event, EventId};
use crate::reply::Reply;
use crate::store::browse::AttemptRecord;

/// A job: the n-th piece of work of an event. Known before the event is stored, because the stored
/// answer names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId {
    /// The event.
    pub event: EventId,
    /// From 0; replays go on counting.
    pub n: u32,
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.event, self.n)
    }
}

impl FromStr for JobId {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a job id (EVENT.N)");
        let (event, n) = text.split_once('.').ok_or_else(wrong)?;
        Ok(Self { event: event.parse().map_err(|_| wrong())?, n: n.parse().map_err(|_| wrong())? })
    }
}

/// What a dedupe key was made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyKind {
    /// The provider's id.
    Id,
    /// The signed bytes.
    Content,
}

/// A claim on being the first: hashed, and unique in the store for as long as the window lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DedupeKey {
    /// What it was made from.
    pub kind: KeyKind,
    /// A hash over source, kind and value.
    pub hash: [u8; 16],
}

/// A delivery to be taken in.
#[derive(Debug, Clone)]
pub struct NewDelivery {
    /// The source's name.
    pub source: Arc<str>,
    /// The bytes as received.
    pub body: Body,
    /// The kept headers, by allow-list.
    pub headers: Arc<[(String, String)]>,
    /// When it was received.
    pub received_at: Timestamp,
    /// The answer that the sender gets, now and for every repetition.
    pub answer: Reply,
    /// A taken key counts only if it was taken at or after this moment.
    pub dedupe_since: Timestamp,
    /// At least one.
    pub events: Vec<NewEvent>,
}

/// One event of a delivery.
#[derive(Debug, Clone)]
pub struct NewEvent {
    /// Our id.
    pub id: EventId,
    /// The provider's type.
    pub event_type: Option<String>,
    /// The provider's id.
    pub event_id: Option<String>,
    /// In a batch: JSON pointer to the event's item.
    pub part: Option<String>,
    /// Its claims; the first taken one makes the event a duplicate.
    pub keys: Vec<DedupeKey>,
    /// How it was judged.
    pub status: NewStatus,
    /// Notes for the operator: which route's schema it failed, and how.
    pub notes: Vec<String>,
    /// The work it causes; empty unless `status` is [`NewStatus::Routed`].
    pub jobs: Vec<NewJob>,
}

/// How an event was judged when it came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NewStatus {
    /// It has jobs.
    Routed,
    /// No route wants it.
    Unrouted,
    /// It could not be read, or every route that wanted it found it invalid.
    Invalid,
}

/// One piece of work.
#[derive(Debug, Clone)]
pub struct NewJob {
    /// The route's name.
    pub route: Arc<str>,
    /// Jobs of one route with the same key run one after the other, in the order of acceptance.
    pub order_key: Option<String>,
    /// The configuration under which it was made.
    pub config_hash: u64,
}

/// What became of a delivery.
#[derive(Debug, Clone)]
pub enum Acceptance {
    /// It is stored: at least one of its events is new.
    Accepted {
        /// How many of its events were known already.
        known: usize,
    },
    /// All of it is known. The answer of the first one, byte for byte; of a batch, that of the delivery
    /// which brought the event that was taken in last. So a batch that was partly known when it was
    /// accepted gets the answer again that it got then.
    Duplicate {
        /// The stored answer.
        answer: Reply,
        /// The event it repeats.
        of: EventId,
        /// By which claim. By content alone, the store also lists it with that event, so that a
        /// legitimate twin can be found.
        by: KeyKind,
    },
}

/// A request for work.
#[derive(Debug, Clone)]
pub struct Claim {
    /// The present moment.
    pub now: Timestamp,
    /// Leases end here unless they are extended.
    pub lease_until: Timestamp,
    /// Free slots per route. Jobs of routes that are not named here are handed out too, under
    /// `unknown`, so that they can be settled as unrouted.
    pub slots: Vec<(Arc<str>, usize)>,
    /// At most so many jobs of routes that `slots` does not name.
    pub unknown: usize,
}

/// The right to settle a job. A later claim of the same job has another token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Lease {
    /// The job.
    pub job: JobId,
    /// Changes with each claim.
    pub token: u64,
}

/// A leased job.
#[derive(Debug, Clone)]
pub struct Job {
    /// The right to settle it.
    pub lease: Lease,
    /// The event, as the step to run next should receive it.
    pub event: Event,
    /// The route's name.
    pub route: Arc<str>,
    /// The step to run next; `None`: the first.
    pub step: Option<String>,
    /// This attempt, from 1.
    pub attempt: u32,
    /// How many of the attempts before it ended because the process died. They do not count
    /// against the route's `retry.attempts`.
    pub crashes: u32,
    /// Whether an operator asked for it.
    pub replay: bool,
    /// The configuration under which it was made.
    pub config_hash: u64,
    /// Why this attempt runs, where it is not the first: `error`, `timeout`, `crash`, `lease`, `replay`.
    pub cause: Option<String>,
}

/// What a worker says of a leased job.
#[derive(Debug, Clone)]
pub struct JobOutcome {
    /// The right to say it.
    pub lease: Lease,
    /// What follows.
    pub settlement: Settlement,
    /// For the record; `None` where nothing ran.
    pub attempt: Option<AttemptRecord>,
}

/// What follows an attempt.
#[derive(Debug, Clone)]
pub enum Settlement {
    /// Nothing: it is done.
    Done,
    /// Another attempt.
    Retry {
        /// Not before this.
        at: Timestamp,
        /// From this step on.
        step: Option<String>,
        /// With this body; `None`: the event's own.
        body: Option<Bytes>,
        /// The cause of the next attempt: `error` or `timeout`.
        cause: &'static str,
    },
    /// Nothing more: to the dead letters.
    Dead {
        /// Why.
        reason: String,
        /// From this step on, if an operator revives it.
        step: Option<String>,
        /// With this body; `None`: the event's own.
        body: Option<Bytes>,
    },
    /// It was not run to an end and goes back as it was; the attempt does not count.
    Released {
        /// From this step on.
        step: Option<String>,
        /// With this body; `None`: the event's own.
        body: Option<Bytes>,
    },
    /// Its route is gone from the configuration.
    Unrouted,
}

/// What a store made of an outcome or an extension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// It counts.
    Applied,
    /// The lease was no longer the current one; nothing changed.
    Stale,
}

/// What to remove. While an event's dedupe keys last, so does the event, because its answer is that
/// of every repetition: where `dead_before` is the later moment, `events_before` counts for dead
/// ones too.
#[derive(Debug, Clone, Copy)]
pub struct Purge {
    /// Events without a waiting or dead job, received before this, and dedupe keys older than it.
    pub events_before: Timestamp,
    /// Events with a dead job and no waiting one, received before this.
    pub dead_before: Timestamp,
    /// At most so many events in one call.
    pub limit: usize,
}

/// How much waits.
#[derive(Debug, Clone, Default)]
pub struct Depth {
    /// Per route, sorted by name.
    pub routes: Vec<RouteDepth>,
    /// When the oldest waiting job's event was received.
    pub oldest: Option<Timestamp>,
}

/// How much waits for one route.
#[derive(Debug, Clone)]
pub struct RouteDepth {
    /// The route's name.
    pub route: Arc<str>,
    /// Jobs that wait or run.
    pub open: u64,
    /// Jobs in the dead letters.
    pub dead: u64,
}
