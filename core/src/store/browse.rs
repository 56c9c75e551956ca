//! Browsing: what an operator sees of a store and may do with it. Optional for a store; called by
//! the admin API and, through it, by the CLI.

use std::fmt;
use std::str::FromStr;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::event::Event;
use crate::id::{EventId, JobId};
use crate::store::attempt::AttemptRecord;
use crate::store::error::StoreError;
use crate::store::records::{NewJob, NewStatus};

/// Lists, shows and replays events. Reads never block
/// [`Store::accept`](crate::store::Store::accept).
#[async_trait]
pub trait Browse: Send + Sync {
    /// Lists the events that match the filter, newest first: at most `limit` of them, and only
    /// those older than `after`, the cursor of the page before.
    async fn list(
        &self,
        filter: &EventFilter,
        limit: usize,
        after: Option<PageCursor>,
    ) -> Result<EventPage, StoreError>;

    /// Everything stored about one event; `None` where the store does not hold it.
    async fn show(&self, id: EventId) -> Result<Option<EventDetail>, StoreError>;

    /// The events that the provider gave the id `event_id`, newest first, at most `limit`. Sources
    /// may use the same ids, so there can be several.
    async fn find(&self, event_id: &str, limit: usize) -> Result<Vec<EventId>, StoreError>;

    /// Makes jobs run again at `now`; returns how many. Jobs of events that the store does not hold
    /// are skipped.
    async fn replay(&self, now: Timestamp, jobs: Vec<ReplayJob>) -> Result<usize, StoreError>;
}

/// One job to run again. Closed on purpose: every store carries out both cases.
#[derive(Debug, Clone)]
pub enum ReplayJob {
    /// A dead job becomes pending at the step where it died, and counts its attempts anew.
    Revive(JobId),
    /// A new job runs the chain from its first step.
    Add {
        /// The event to run it on.
        event: EventId,
        /// The job to add, with the next free number of its event.
        job: NewJob,
    },
}

/// Where a listing continues: the next page holds events strictly older than this. Only the store
/// that made it can interpret the number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageCursor(pub i64);

/// Which events to list. A field that is `None` matches every event.
///
/// ```
/// use hookward_core::store::{EventFilter, EventStatus};
///
/// let filter = EventFilter::new().with_source("stripe".to_owned()).with_status(EventStatus::Dead);
/// assert_eq!(filter.event_type, None);
/// ```
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct EventFilter {
    /// The source's name, which must be equal.
    pub source: Option<String>,
    /// The provider's event type, exactly.
    pub event_type: Option<String>,
    /// The status, which follows from the jobs of the event.
    pub status: Option<EventStatus>,
    /// A search text: equal to the event's id or to the provider's id, or a part of the event type.
    pub q: Option<String>,
    /// Received at this time or later.
    pub since: Option<Timestamp>,
    /// Received before this time, exclusively.
    pub until: Option<Timestamp>,
}

impl EventFilter {
    /// A filter that matches every event.
    pub fn new() -> Self {
        Self::default()
    }

    setters! {
        with_source => source: into Option<String>;
        with_event_type => event_type: into Option<String>;
        with_status => status: into Option<EventStatus>;
        with_q => q: into Option<String>;
        with_since => since: into Option<Timestamp>;
        with_until => until: into Option<Timestamp>;
    }

    /// Whether an event matches everything but `status`, which the caller compares: it follows from
    /// the event's jobs, and a store may not have counted them yet.
    pub fn matches(&self, e: &EventSummary) -> bool {
        let same = |want: &Option<String>, is: Option<&str>| {
            want.as_deref().is_none_or(|want| is == Some(want))
        };
        let q = |q: &str| {
            e.event_id.as_deref() == Some(q)
                || e.event_type.as_deref().is_some_and(|t| t.contains(q))
                || q.parse() == Ok(e.id)
        };
        same(&self.source, Some(&e.source))
            && same(&self.event_type, e.event_type.as_deref())
            && self.since.is_none_or(|t| e.received_at >= t)
            && self.until.is_none_or(|t| e.received_at < t)
            && self.q.as_deref().is_none_or(q)
    }
}

/// Where an event stands: the first of these that fits any of its jobs. Closed on purpose: it is
/// part of the API, the CLI and the filters of stores.
///
/// ```
/// use hookward_core::store::EventStatus;
///
/// assert_eq!("dead".parse(), Ok(EventStatus::Dead));
/// assert_eq!(EventStatus::Dead.to_string(), "dead");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EventStatus {
    /// A job is pending or running.
    Pending,
    /// A job is in the dead letters.
    Dead,
    /// Every job is done, or its route is gone.
    Done,
    /// The event has no jobs, because no route matched it or the routes of its jobs are gone.
    Unrouted,
    /// The event could not be read, or every matching route found it invalid.
    Invalid,
}

impl From<NewStatus> for EventStatus {
    /// The status of an event without jobs. An event that was routed has none once their routes are
    /// gone.
    fn from(status: NewStatus) -> Self {
        match status {
            NewStatus::Routed | NewStatus::Unrouted => Self::Unrouted,
            NewStatus::Invalid => Self::Invalid,
        }
    }
}

impl EventStatus {
    /// Every status, in the order of precedence.
    pub const ALL: [Self; 5] =
        [Self::Pending, Self::Dead, Self::Done, Self::Unrouted, Self::Invalid];

    /// The word in JSON and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Dead => "dead",
            Self::Done => "done",
            Self::Unrouted => "unrouted",
            Self::Invalid => "invalid",
        }
    }
}

impl fmt::Display for EventStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for EventStatus {
    type Err = ParseEventStatusError;

    fn from_str(text: &str) -> Result<Self, ParseEventStatusError> {
        let found = Self::ALL.into_iter().find(|status| status.as_str() == text);
        found.ok_or_else(|| ParseEventStatusError { text: text.to_owned() })
    }
}

/// A text that is not an [`EventStatus`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is not a status; allowed: {}",
    EventStatus::ALL.map(EventStatus::as_str).join(", ")
)]
pub struct ParseEventStatusError {
    text: String,
}

/// One page of a listing. It may be short or even empty before the end, because a store examines a
/// bounded number of events per call; only `next` says whether there is more.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct EventPage {
    /// The events of the page, newest first.
    pub events: Vec<EventSummary>,
    /// Where the next page starts; `None` at the end of the listing.
    pub next: Option<PageCursor>,
}

impl EventPage {
    /// A page; `events` must be sorted, newest first.
    pub fn new(events: Vec<EventSummary>, next: impl Into<Option<PageCursor>>) -> Self {
        Self { events, next: next.into() }
    }
}

/// One event in a listing. Its JSON, in camelCase, is part of the admin API.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct EventSummary {
    /// The id that Hookward gave the event.
    pub id: EventId,
    /// The source's name in routes.yaml.
    pub source: String,
    /// The provider's word for what happened.
    pub event_type: Option<String>,
    /// The provider's id of the event.
    pub event_id: Option<String>,
    /// Where the event stands, as its jobs say.
    pub status: EventStatus,
    /// When the event was received.
    pub received_at: Timestamp,
    /// How many of its jobs are in each state.
    pub jobs: JobCounts,
}

impl EventSummary {
    /// A summary of an event without names and jobs.
    pub fn new(
        id: EventId,
        source: impl Into<String>,
        status: EventStatus,
        received_at: Timestamp,
    ) -> Self {
        Self {
            id,
            source: source.into(),
            event_type: None,
            event_id: None,
            status,
            received_at,
            jobs: JobCounts::default(),
        }
    }

    setters! {
        with_event_type => event_type: into Option<String>;
        with_event_id => event_id: into Option<String>;
        with_status => status: EventStatus;
        with_jobs => jobs: JobCounts;
    }
}

/// How many of an event's jobs are in each state. Jobs whose route is gone are not counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct JobCounts {
    /// Jobs whose chain ended well.
    pub done: u32,
    /// Jobs that are pending or running.
    pub pending: u32,
    /// Jobs in the dead letters.
    pub dead: u32,
}

impl JobCounts {
    /// Counts one job in this state.
    pub fn add(&mut self, state: JobState) {
        match state {
            JobState::Pending | JobState::Running => self.pending += 1,
            JobState::Done => self.done += 1,
            JobState::Dead => self.dead += 1,
            JobState::Unrouted => {}
        }
    }

    /// The status of an event with these jobs; `status_without_jobs` without any.
    pub fn status(self, status_without_jobs: EventStatus) -> EventStatus {
        match self {
            Self { pending: 1.., .. } => EventStatus::Pending,
            Self { dead: 1.., .. } => EventStatus::Dead,
            Self { done: 1.., .. } => EventStatus::Done,
            _ => status_without_jobs,
        }
    }
}

impl FromIterator<JobState> for JobCounts {
    fn from_iter<I: IntoIterator<Item = JobState>>(states: I) -> Self {
        let mut counts = Self::default();
        states.into_iter().for_each(|state| counts.add(state));
        counts
    }
}

/// Everything a store holds about one event.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct EventDetail {
    /// The event as a listing shows it.
    pub summary: EventSummary,
    /// The event itself, with the body as received.
    pub event: Event,
    /// Notes that were made when the event was accepted
    /// ([`NewEvent::notes`](crate::store::NewEvent)).
    pub notes: Vec<String>,
    /// The event's jobs, by their number.
    pub jobs: Vec<JobDetail>,
    /// Deliveries with the same bytes and another id or none, which were answered as duplicates of
    /// this event.
    pub content_duplicates: Vec<ContentDuplicate>,
}

impl EventDetail {
    /// The detail of an event without notes, jobs and content duplicates.
    pub fn new(summary: EventSummary, event: Event) -> Self {
        Self { summary, event, notes: Vec::new(), jobs: Vec::new(), content_duplicates: Vec::new() }
    }

    setters! {
        with_notes => notes: Vec<String>;
        with_jobs => jobs: Vec<JobDetail>;
        with_content_duplicates => content_duplicates: Vec<ContentDuplicate>;
    }
}

/// A delivery that was answered as a duplicate because of its bytes alone. Its JSON, in camelCase,
/// is part of the admin API.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ContentDuplicate {
    /// The provider's id in that delivery.
    pub event_id: Option<String>,
    /// When that delivery was received.
    pub received_at: Timestamp,
}

impl ContentDuplicate {
    /// A delivery that came with `event_id` at `received_at`.
    pub fn new(event_id: impl Into<Option<String>>, received_at: Timestamp) -> Self {
        Self { event_id: event_id.into(), received_at }
    }
}

/// Where a job stands. Closed on purpose: stores write it to disk, and the admin API shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum JobState {
    /// The job waits to be claimed.
    Pending,
    /// The job is leased to a worker.
    Running,
    /// Every step ended well, or a handler stopped the chain.
    Done,
    /// The job is in the dead letters.
    Dead,
    /// The job's route is gone from the configuration.
    Unrouted,
}

/// One job of an event. Its JSON, in camelCase, is part of the admin API.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct JobDetail {
    /// The job's number within its event, from 0.
    pub n: u32,
    /// The name of the route whose chain the job runs.
    pub route: String,
    /// Where the job stands now.
    pub state: JobState,
    /// How many attempts were started.
    pub attempt: u32,
    /// The step at which the job continues; `None`: the first.
    pub step: Option<String>,
    /// When the job is due; `None` unless it is pending.
    pub due: Option<Timestamp>,
    /// Why the job is dead; `None` unless it died.
    pub reason: Option<String>,
    /// The record of every attempt that ended.
    pub attempts: Vec<AttemptRecord>,
}

impl JobDetail {
    /// The detail of a job that has not run.
    pub fn new(n: u32, route: impl Into<String>, state: JobState) -> Self {
        Self {
            n,
            route: route.into(),
            state,
            attempt: 0,
            step: None,
            due: None,
            reason: None,
            attempts: Vec::new(),
        }
    }

    setters! {
        with_attempt => attempt: u32;
        with_step => step: into Option<String>;
        with_due => due: into Option<Timestamp>;
        with_reason => reason: into Option<String>;
        with_attempts => attempts: Vec<AttemptRecord>;
    }
}
