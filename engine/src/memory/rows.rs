//! The records of the memory store: events, their jobs, and the leases of running jobs.

use std::sync::Arc;

use bytes::Bytes;
use hookward_core::store::{
    AttemptRecord, Cause, ContentDuplicate, EventDetail, EventStatus, EventSummary, JobCounts,
    JobDetail, JobState, NewJob,
};
use hookward_core::{Event, Reply, Timestamp};

/// Hash of a dedupe key.
pub(super) type KeyHash = [u8; 16];

/// Identifies a job: the sequence number of its event, and the job's number in that event. Keys
/// sort by the order of acceptance.
pub(super) type JobKey = (u64, u32);

/// A stored event with its jobs.
#[derive(Debug)]
pub(super) struct EventRow {
    pub(super) event: Event,
    /// The event's status while it has no jobs.
    pub(super) status_without_jobs: EventStatus,
    pub(super) notes: Vec<String>,
    /// The answer to the delivery, which a repeated delivery gets again.
    pub(super) answer: Reply,
    /// The dedupe keys that this event claimed.
    pub(super) keys: Vec<KeyHash>,
    pub(super) content_duplicates: Vec<ContentDuplicate>,
    /// The jobs by their number.
    pub(super) jobs: Vec<JobRow>,
}

/// One job of an event: its state, and what its next attempt starts from.
#[derive(Debug)]
pub(super) struct JobRow {
    pub(super) route: Arc<str>,
    pub(super) order_key: Option<Arc<str>>,
    pub(super) state: JobState,
    pub(super) due: Timestamp,
    /// The number of attempts since the job was made or last replayed.
    pub(super) attempt: u32,
    /// The step at which the next attempt starts; `None` is the first one.
    pub(super) step: Option<String>,
    /// The body for that step; `None` is the event's own.
    pub(super) body: Option<Bytes>,
    pub(super) replay: bool,
    /// Why the next attempt runs.
    pub(super) cause: Option<Cause>,
    /// Why the job is dead.
    pub(super) reason: Option<String>,
    pub(super) attempts: Vec<AttemptRecord>,
}

/// The lease of a running job.
#[derive(Debug, Clone, Copy)]
pub(super) struct ActiveLease {
    pub(super) key: JobKey,
    /// Distinguishes this lease from an earlier one of the same job.
    pub(super) token: u64,
    pub(super) started: Timestamp,
    /// When the lease expires.
    pub(super) until: Timestamp,
}

impl JobRow {
    pub(super) fn new(job: NewJob, due: Timestamp) -> Self {
        Self {
            route: job.route,
            order_key: job.order_key.map(Arc::from),
            state: JobState::Pending,
            due,
            attempt: 0,
            step: None,
            body: None,
            replay: false,
            cause: None,
            reason: None,
            attempts: Vec::new(),
        }
    }

    /// Makes the job pending again because an operator replays it. Its attempts are counted anew;
    /// it resumes at the step that failed.
    pub(super) fn reset_for_replay(&mut self, now: Timestamp) {
        self.state = JobState::Pending;
        self.due = now;
        self.attempt = 0;
        self.replay = true;
        self.cause = Some(Cause::Replay);
        self.reason = None;
    }

    fn detail(&self, n: u32) -> JobDetail {
        JobDetail::new(n, self.route.to_string(), self.state)
            .with_attempt(self.attempt)
            .with_step(self.step.clone())
            .with_due((self.state == JobState::Pending).then_some(self.due))
            .with_reason(self.reason.clone())
            .with_attempts(self.attempts.clone())
    }
}

impl EventRow {
    /// Counts the event's jobs by state.
    pub(super) fn job_counts(&self) -> JobCounts {
        self.jobs.iter().map(|job| job.state).collect()
    }

    pub(super) fn summary(&self) -> EventSummary {
        let jobs = self.job_counts();
        EventSummary::new(
            self.event.id(),
            self.event.source().to_owned(),
            jobs.status(self.status_without_jobs),
            self.event.received_at(),
        )
        .with_event_type(self.event.event_type().map(str::to_owned))
        .with_event_id(self.event.event_id().map(str::to_owned))
        .with_jobs(jobs)
    }

    pub(super) fn detail(&self) -> EventDetail {
        EventDetail::new(self.summary(), self.event.clone())
            .with_notes(self.notes.clone())
            .with_jobs((0..).zip(&self.jobs).map(|(n, job)| job.detail(n)).collect())
            .with_content_duplicates(self.content_duplicates.clone())
    }
}
