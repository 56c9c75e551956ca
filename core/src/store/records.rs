//! What the engine passes to a store and gets from it: deliveries to accept, jobs to run, outcomes
//! to settle.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::body::Body;
use crate::clock::Timestamp;
use crate::event::Event;
use crate::id::{EventId, JobId};
use crate::reply::Reply;
use crate::store::attempt::{AttemptRecord, Cause};

/// What a dedupe key was made from. Closed on purpose: stores write it to disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DedupeKeyKind {
    /// The provider's id of the event, or a replay token.
    Id,
    /// The received bytes and the event type.
    Content,
}

/// What makes two events the same one. The first event with a key owns it for the dedupe window; a
/// later one with the same key is a duplicate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct DedupeKey {
    /// What the key was made from.
    pub kind: DedupeKeyKind,
    /// A hash over source, kind and value, so that equal keys of different sources differ.
    pub hash: [u8; 16],
}

impl DedupeKey {
    /// A key from its hash, which must cover source and kind.
    pub const fn new(kind: DedupeKeyKind, hash: [u8; 16]) -> Self {
        Self { kind, hash }
    }
}

/// A delivery to store with its events and jobs, by [`Store::accept`](crate::store::Store::accept).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct NewDelivery {
    /// The source's name in routes.yaml.
    pub source: Arc<str>,
    /// The body as received, byte for byte.
    pub body: Body,
    /// The kept headers: lower-case names, only those on the provider's allow-list.
    pub headers: Arc<[(String, String)]>,
    /// When the delivery was received, by the clock that retention and the dedupe window go by.
    pub received_at: Timestamp,
    /// From when on its jobs may be claimed. Differs from `received_at` where the wall clock, by
    /// which jobs are claimed, is behind the clock of retention.
    pub due: Timestamp,
    /// The answer that the sender gets, now and for every repetition.
    pub answer: Reply,
    /// Start of the dedupe window: a dedupe key counts only if its owner was received at this time
    /// or later.
    pub dedupe_since: Timestamp,
    /// The events of the delivery; at least one.
    pub events: Vec<NewEvent>,
}

impl NewDelivery {
    /// A delivery without events and kept headers, whose dedupe window has no start.
    pub fn new(
        source: impl Into<Arc<str>>,
        body: Body,
        received_at: Timestamp,
        answer: Reply,
    ) -> Self {
        Self {
            source: source.into(),
            body,
            headers: Arc::default(),
            received_at,
            due: received_at,
            answer,
            dedupe_since: Timestamp::from_millis(i64::MIN),
            events: Vec::new(),
        }
    }

    /// Sets the time at which it was received, and from which its jobs are due.
    #[must_use]
    pub fn with_received_at(mut self, received_at: Timestamp) -> Self {
        (self.received_at, self.due) = (received_at, received_at);
        self
    }

    setters! {
        with_body => body: Body;
        with_headers => headers: Arc<[(String, String)]>;
        with_due => due: Timestamp;
        with_answer => answer: Reply;
        with_dedupe_since => dedupe_since: Timestamp;
        with_events => events: Vec<NewEvent>;
    }
}

/// One event of a [`NewDelivery`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct NewEvent {
    /// The id that the engine gives the event.
    pub id: EventId,
    /// The provider's word for what happened.
    pub event_type: Option<String>,
    /// The provider's id of the event.
    pub event_id: Option<String>,
    /// JSON pointer to the event's item in a batch; `None` where the delivery is one event.
    pub item_pointer: Option<String>,
    /// Its dedupe keys. The event is a duplicate if another event owns any of them; the first such
    /// key in this order decides of which event.
    pub keys: Vec<DedupeKey>,
    /// Keys of which the event claims one: the first, in this order, that no event owns within the
    /// window. They bound how many events one signed body makes under unsigned words. An event
    /// that finds all of them owned is a content duplicate of the owner of the first. Empty: not
    /// bounded.
    pub variant_keys: Vec<[u8; 16]>,
    /// The id of the event, where the sender does not sign it.
    pub unsigned_id: Option<UnsignedId>,
    /// Whether routing gave it jobs.
    pub status: NewStatus,
    /// Notes for the operator, such as which route's schema the event failed and where.
    pub notes: Vec<String>,
    /// Its jobs; empty unless `status` is [`NewStatus::Routed`].
    pub jobs: Vec<NewJob>,
}

impl NewEvent {
    /// An event without names, keys, notes and jobs.
    pub fn new(id: EventId, status: NewStatus) -> Self {
        Self {
            id,
            event_type: None,
            event_id: None,
            item_pointer: None,
            keys: Vec::new(),
            variant_keys: Vec::new(),
            unsigned_id: None,
            status,
            notes: Vec::new(),
            jobs: Vec::new(),
        }
    }

    setters! {
        with_event_type => event_type: into Option<String>;
        with_event_id => event_id: into Option<String>;
        with_item_pointer => item_pointer: into Option<String>;
        with_keys => keys: Vec<DedupeKey>;
        with_variant_keys => variant_keys: Vec<[u8; 16]>;
        with_unsigned_id => unsigned_id: into Option<UnsignedId>;
        with_status => status: NewStatus;
        with_notes => notes: Vec<String>;
        with_jobs => jobs: Vec<NewJob>;
    }
}

/// An event id that anybody can change without breaking the proof. It makes no event a duplicate:
/// an attacker could claim the id of an event that is still to come. It only confirms that an event
/// with equal bytes is the same event, sent again.
///
/// The newest event with the id owns the hash.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnsignedId {
    /// A hash over source, id and scope.
    pub hash: [u8; 16],
    /// The note that the event gets if another event owned the hash within the window.
    pub note: String,
}

impl UnsignedId {
    /// An unsigned id with this hash, and the note for an event that reuses it.
    pub fn new(hash: [u8; 16], note: impl Into<String>) -> Self {
        Self { hash, note: note.into() }
    }
}

/// What routing decided about an event when it was accepted. Closed on purpose: stores write it to
/// disk, and [`EventStatus`](crate::store::EventStatus) follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NewStatus {
    /// At least one route matches; the event has jobs.
    Routed,
    /// No route matches; the event has no jobs.
    Unrouted,
    /// The event could not be read, or every matching route found it invalid.
    Invalid,
}

/// A job for a new event, or one that a replay adds.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct NewJob {
    /// The name of the route whose chain the job runs.
    pub route: Arc<str>,
    /// Jobs of one route with the same order key run one at a time, in the order of acceptance.
    /// `None`: in any order, at the same time as others.
    pub order_key: Option<String>,
}

impl NewJob {
    /// A job without an order key.
    pub fn new(route: impl Into<Arc<str>>) -> Self {
        Self { route: route.into(), order_key: None }
    }

    setters! {
        with_order_key => order_key: into Option<String>;
    }
}

/// What a store made of one delivery. Closed on purpose: the engine answers the sender by it.
#[derive(Debug, Clone)]
pub enum Acceptance {
    /// The delivery is stored: at least one of its events is new.
    Accepted {
        /// How many of its events were duplicates and are not stored again.
        known: usize,
    },
    /// Every event of the delivery is a duplicate; nothing is stored.
    Duplicate {
        /// The stored answer of the first delivery, byte for byte. For a batch, that of the
        /// delivery which brought the most recently accepted event, so that a batch that was partly
        /// known when it was accepted gets the answer that it got then.
        answer: Reply,
        /// The event that is repeated.
        of: EventId,
        /// The kind of the dedupe key that matched. A duplicate by content alone is also recorded
        /// with the event ([`ContentDuplicate`](crate::store::ContentDuplicate)), so that an
        /// operator can find a legitimate delivery that merely had the same bytes. A content key
        /// counts as [`DedupeKeyKind::Id`] where the same event also owns the delivery's
        /// [`UnsignedId`].
        by: DedupeKeyKind,
    },
    /// Every event of the delivery is a duplicate, and the event that decides the answer was
    /// purged: only its dedupe keys are left ([`PurgeRequest::keep_keys`]). Nothing is stored. The
    /// engine words the answer again.
    DuplicateOfPurged {
        /// The kind of the dedupe key that matched.
        by: DedupeKeyKind,
    },
}

/// A request for jobs to run: the argument of [`Store::claim`](crate::store::Store::claim).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ClaimRequest {
    /// The current time. A job is claimable when it is due at this time.
    pub now: Timestamp,
    /// When the leases expire unless they are extended.
    pub lease_until: Timestamp,
    /// How many jobs of each route may be claimed: its free slots.
    pub slots: Vec<(Arc<str>, usize)>,
    /// How many jobs may be claimed of routes that `slots` does not name. Such a route is gone from
    /// the configuration; its jobs are claimed to be settled as [`Settlement::Unrouted`].
    pub max_unrouted: usize,
}

impl ClaimRequest {
    /// A request for jobs of the routes in `slots` alone.
    pub fn new(now: Timestamp, lease_until: Timestamp, slots: Vec<(Arc<str>, usize)>) -> Self {
        Self { now, lease_until, slots, max_unrouted: 0 }
    }

    setters! {
        with_now => now: Timestamp;
        with_lease_until => lease_until: Timestamp;
        with_slots => slots: Vec<(Arc<str>, usize)>;
        with_max_unrouted => max_unrouted: usize;
    }
}

/// The right to settle a claimed job. Only the latest claim's lease is current; earlier ones are
/// stale and change nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Lease {
    /// The job that was claimed.
    pub job: JobId,
    /// Distinguishes this claim from every other claim of the job.
    pub token: u64,
}

impl Lease {
    /// A lease that a store grants.
    pub const fn new(job: JobId, token: u64) -> Self {
        Self { job, token }
    }
}

/// A claimed job, ready to run.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Job {
    /// The right to settle the job.
    pub lease: Lease,
    /// The event, with the body that the next step should receive.
    pub event: Event,
    /// The name of the route whose chain the job runs.
    pub route: Arc<str>,
    /// The name of the step to run next; `None`: the first.
    pub step: Option<String>,
    /// The number of this attempt, from 1. [`Store::claim`](crate::store::Store::claim) counts it.
    pub attempt: u32,
    /// How many attempts before this one ended because the process died. They do not count against
    /// the route's `retry.attempts`.
    pub crashes: u32,
    /// Whether an operator asked for this run.
    pub replay: bool,
    /// Why this attempt runs; `None` for a job's first attempt.
    pub cause: Option<Cause>,
}

impl Job {
    /// The first attempt at a job.
    pub fn new(lease: Lease, event: Event, route: impl Into<Arc<str>>) -> Self {
        Self {
            lease,
            event,
            route: route.into(),
            step: None,
            attempt: 1,
            crashes: 0,
            replay: false,
            cause: None,
        }
    }

    setters! {
        with_step => step: into Option<String>;
        with_attempt => attempt: u32;
        with_crashes => crashes: u32;
        with_replay => replay: bool;
        with_cause => cause: into Option<Cause>;
    }
}

/// What a worker reports about a claimed job.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct JobOutcome {
    /// The lease under which the job ran.
    pub lease: Lease,
    /// What happens to the job.
    pub settlement: Settlement,
    /// The record to store; `None` where nothing ran.
    pub attempt: Option<AttemptRecord>,
}

impl JobOutcome {
    /// The outcome of a job of which nothing ran.
    pub fn new(lease: Lease, settlement: Settlement) -> Self {
        Self { lease, settlement, attempt: None }
    }

    setters! {
        with_attempt => attempt: into Option<AttemptRecord>;
    }
}

/// What happens to a job after an attempt. Closed on purpose: every store carries out every case.
#[derive(Debug, Clone)]
pub enum Settlement {
    /// The job is done and does not run again.
    Done,
    /// The job becomes pending and runs again.
    Retry {
        /// The earliest time of the next attempt.
        at: Timestamp,
        /// The step to resume at; `None`: the first.
        step: Option<String>,
        /// The body that the step receives; `None`: the event's own.
        body: Option<Bytes>,
        /// The cause of the next attempt.
        cause: Cause,
    },
    /// The job goes to the dead letters.
    Dead {
        /// Why the job is dead, for the operator.
        reason: String,
        /// The step to resume at, should an operator replay the job; `None`: the first.
        step: Option<String>,
        /// The body that the step receives; `None`: the event's own.
        body: Option<Bytes>,
    },
    /// The attempt did not end and does not count: the worker stopped. The job is as due as it was.
    Released {
        /// The step to resume at; `None`: the first.
        step: Option<String>,
        /// The body that the step receives; `None`: the event's own.
        body: Option<Bytes>,
    },
    /// The job's route is gone from the configuration; it does not run again.
    Unrouted,
}

/// What a store made of an outcome or of the extension of a lease. Closed on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// The lease was current, and the change is stored.
    Applied,
    /// The lease was not the current one, and nothing changed.
    Stale,
}

/// Which events to remove: the argument of [`Store::purge`](crate::store::Store::purge).
///
/// An event is kept as long as its dedupe keys, because repetitions are answered with its answer.
/// Where `dead_before` is later than `events_before`, `events_before` therefore also holds for
/// events with dead jobs. The keys of the sources in `keep_keys` outlive their events.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PurgeRequest {
    /// Removes events without pending, running or dead jobs that were received before this time,
    /// and dedupe keys older than it.
    pub events_before: Timestamp,
    /// Removes events with a dead job, and without pending or running ones, that were received
    /// before this time.
    pub dead_before: Timestamp,
    /// The maximum number of events to remove in one call.
    pub limit: usize,
    /// The sources whose dedupe keys stay when an event is removed: a captured request of such a
    /// source can be sent again for longer than events are kept. Kept keys that are older than
    /// every `since` are removed.
    pub keep_keys: Vec<KeepKeys>,
}

impl PurgeRequest {
    /// A request to remove at most `limit` events together with their dedupe keys.
    pub const fn new(events_before: Timestamp, dead_before: Timestamp, limit: usize) -> Self {
        Self { events_before, dead_before, limit, keep_keys: Vec::new() }
    }

    setters! {
        with_keep_keys => keep_keys: Vec<KeepKeys>;
    }
}

/// A source whose dedupe keys outlive its events.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct KeepKeys {
    /// The source's name in routes.yaml.
    pub source: Arc<str>,
    /// Keys of events that were received at this time or later are kept.
    pub since: Timestamp,
}

impl KeepKeys {
    /// Keeps the keys of the source's events that were received at `since` or later.
    pub fn new(source: impl Into<Arc<str>>, since: Timestamp) -> Self {
        Self { source: source.into(), since }
    }
}

/// How many jobs a store holds, and for how long the oldest has waited.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct QueueDepth {
    /// The routes that have open or dead jobs, sorted by name.
    pub routes: Vec<RouteDepth>,
    /// When the event of the oldest pending job was received; `None` where no job is pending.
    pub oldest: Option<Timestamp>,
}

impl QueueDepth {
    /// A depth; `routes` must be sorted by name.
    pub fn new(routes: Vec<RouteDepth>, oldest: impl Into<Option<Timestamp>>) -> Self {
        Self { routes, oldest: oldest.into() }
    }
}

/// How many jobs of one route a store holds.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RouteDepth {
    /// The route's name in routes.yaml.
    pub route: Arc<str>,
    /// Jobs that are pending or running.
    pub open: u64,
    /// Jobs in the dead letters.
    pub dead: u64,
}

impl RouteDepth {
    /// The depth of one route.
    pub fn new(route: impl Into<Arc<str>>, open: u64, dead: u64) -> Self {
        Self { route: route.into(), open, dead }
    }
}

/// The state of the engine's retention clock, which a store keeps for the next process. A wall clock
/// that is wrong at a start is noticed only by comparison with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetentionState {
    /// The time that the clock showed.
    pub at: Timestamp,
    /// For how long the wall clock had been in doubt, in running time, over restarts.
    pub in_doubt_for: Duration,
}

impl RetentionState {
    /// A state of these two values.
    pub const fn new(at: Timestamp, in_doubt_for: Duration) -> Self {
        Self { at, in_doubt_for }
    }
}
