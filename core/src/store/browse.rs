//! The browsing ability of a store: what an operator sees and may do.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::event::{Event, EventId};
use crate::store::StoreError;
use crate::store::records::{JobId, NewJob, NewStatus};

/// Listing, showing and replaying.
#[async_trait]
pub trait Browse: Send + Sync {
    /// The newest events that the filter lets through, newest first.
    async fn list(
        &self,
        filter: &Filter,
        limit: usize,
        after: Option<Cursor>,
    ) -> Result<EventPage, StoreError>;

    /// Everything about one event.
    async fn show(&self, id: EventId) -> Result<Option<EventDetail>, StoreError>;

    /// Our ids of the events that a provider named so, newest first, at most `limit`.
    async fn find(&self, event_id: &str, limit: usize) -> Result<Vec<EventId>, StoreError>;

    /// Makes jobs run again; returns how many jobs that makes. Unknown events are passed over.
    async fn replay(&self, now: Timestamp, jobs: Vec<ReplayJob>) -> Result<usize, StoreError>;
}

/// One job to run again.
#[derive(Debug, Clone)]
pub enum ReplayJob {
    /// A dead job goes back to waiting, at the step where it died, with its attempts counted anew.
    Revive(JobId),
    /// A new job from the first step.
    Add {
        /// The event.
        event: EventId,
        /// The work.
        job: NewJob,
    },
}

/// Where a listing goes on: strictly older than this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor(pub i64);

/// Which events to list. `None` lets everything through.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// The source's name.
    pub source: Option<String>,
    /// The provider's type, exactly.
    pub event_type: Option<String>,
    /// The status.
    pub status: Option<Status>,
    /// In our id or the provider's id: exactly. In the type: as a part.
    pub q: Option<String>,
    /// Received at or after.
    pub since: Option<Timestamp>,
    /// Received before.
    pub until: Option<Timestamp>,
}

/// Where an event stands. Of several jobs, the first of these that fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// A job waits or runs.
    Pending,
    /// A job is in the dead letters.
    Dead,
    /// All jobs are done.
    Done,
    /// No route wanted it.
    Unrouted,
    /// It could not be read or was not valid.
    Invalid,
}

impl From<NewStatus> for Status {
    /// Where an event stands that has no jobs, or only such as their routes have left.
    fn from(status: NewStatus) -> Self {
        match status {
            NewStatus::Routed | NewStatus::Unrouted => Self::Unrouted,
            NewStatus::Invalid => Self::Invalid,
        }
    }
}

impl Status {
    /// All, in their order.
    pub const ALL: [Self; 5] =
        [Self::Pending, Self::Dead, Self::Done, Self::Unrouted, Self::Invalid];

    /// The word in JSON and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Dead => "dead",
            Self::Done => "done",
            Self::Unrouted => "unrouted",
            Self::Invalid => "invalid",
        }
    }

    /// Reads the word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.as_str() == text)
    }
}

/// One page of a listing. It may be short, or even empty, before the end: a store looks at so many
/// events per call and no more.
#[derive(Debug, Clone, Default)]
pub struct EventPage {
    /// Newest first.
    pub events: Vec<EventSummary>,
    /// Where the next page starts; `None` at the end.
    pub next: Option<Cursor>,
}

/// One line of a listing.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EventSummary {
    /// Our id.
    pub id: EventId,
    /// The source's name.
    pub source: String,
    /// The provider's type.
    pub event_type: Option<String>,
    /// The provider's id.
    pub event_id: Option<String>,
    /// Where it stands.
    pub status: Status,
    /// When it was received.
    pub received_at: Timestamp,
    /// Its jobs, counted.
    pub jobs: JobCounts,
}

/// An event's jobs, counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct JobCounts {
    /// Done.
    pub done: u32,
    /// Waiting or running.
    pub pending: u32,
    /// In the dead letters.
    pub dead: u32,
}

impl Filter {
    /// Whether an event passes, apart from its status, which its jobs tell.
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

impl JobCounts {
    /// Counts one job. One whose route is gone counts as none.
    pub fn add(&mut self, state: JobState) {
        match state {
            JobState::Pending | JobState::Running => self.pending += 1,
            JobState::Done => self.done += 1,
            JobState::Dead => self.dead += 1,
            JobState::Unrouted => {}
        }
    }

    /// The status that these counts mean for an event that was stored as `status_without_jobs`.
    pub fn status(self, status_without_jobs: Status) -> Status {
        match self {
            Self { pending: 1.., .. } => Status::Pending,
            Self { dead: 1.., .. } => Status::Dead,
            Self { done: 1.., .. } => Status::Done,
            _ => status_without_jobs,
        }
    }
}

/// Everything about one event.
#[derive(Debug, Clone)]
pub struct EventDetail {
    /// Its line in a listing.
    pub summary: EventSummary,
    /// The event itself.
    pub event: Event,
    /// Notes from when it came in.
    pub notes: Vec<String>,
    /// Its jobs in order.
    pub jobs: Vec<JobDetail>,
    /// Deliveries with the same bytes and another id, taken as repetitions of this one.
    pub content_duplicates: Vec<ContentDuplicate>,
}

/// A delivery that was taken as a repetition by its bytes alone.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ContentDuplicate {
    /// The id it came with.
    pub event_id: Option<String>,
    /// When it was received.
    pub received_at: Timestamp,
}

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum JobState {
    /// It waits.
    Pending,
    /// It is leased to a worker.
    Running,
    /// It is done.
    Done,
    /// It is in the dead letters.
    Dead,
    /// Its route is gone.
    Unrouted,
}

/// One job of an event.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct JobDetail {
    /// Its number within the event.
    pub n: u32,
    /// The route's name.
    pub route: String,
    /// Where it stands.
    pub state: JobState,
    /// Attempts so far.
    pub attempt: u32,
    /// The step at which it goes on.
    pub step: Option<String>,
    /// When it is due, while it waits.
    pub due: Option<Timestamp>,
    /// Why it is dead.
    pub reason: Option<String>,
    /// Every attempt.
    pub attempts: Vec<AttemptRecord>,
}

/// One attempt, for the record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AttemptRecord {
    /// Its number, from 1.
    pub attempt: u32,
    /// The last step that it reached.
    pub step: Option<String>,
    /// When it started, RFC 3339.
    pub started_at: String,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// `done`, `stopped`, `error`, `timeout`, `panic`, `released`, `crash`, `lease`.
    pub outcome: String,
    /// What went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Why it ran, where it is not the first: `error`, `timeout`, `crash`, `lease`, `replay`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
}
