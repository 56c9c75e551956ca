//! The records of the memory store: events, their jobs, and the leases of running jobs.

use std::sync::Arc;

use bytes::Bytes;
use hookward_core::store::{
    AttemptRecord, ContentDuplicate, DedupeKey, EventDetail, EventSummary, JobCounts, JobDetail,
    JobState, NewJob, Status,
};
use hookward_core::{Event, Reply, Timestamp};

/// Identifies a job: the sequence number of its event, and the job's number in that event. Keys
/// sort by the order of acceptance.
pub(super) type JobKey = (u64, u32);

/// A stored event with its jobs.
#[derive(Debug)]
pub(super) struct EventRow {
    pub(super) event: Event,
    /// The event's status while it has no jobs.
    pub(super) status_without_jobs: Status,
    pub(super) notes: Vec<String>,
    /// The answer to the delivery, which a repeated delivery gets again.
    pub(super) answer: Reply,
    /// The dedupe keys that this event claimed.
    pub(super) keys: Vec<DedupeKey>,
    pub(super) content_duplicates: Vec<ContentDuplicate>,
    /// The jobs by their number.
    pub(super) jobs: Vec<JobRow>,
}

/// One job of an event: its state, and what its next attempt starts from.
#[derive(Debug)]
pub(super) struct JobRow {
    pub(super) route: Arc<str>,
    pub(super) order_key: Option<Arc<str>>,
    pub(super) config_hash: u64,
    pub(super) state: JobState,
    pub(super) due: Timestamp,
    /// The number of attempts since the job was made or last replayed.
    pub(super) attempt: u32,
    /// The step at which the next attempt starts; `None` is the first one.
    pub(super) step: Option<String>,
    /// The body for that step; `None` is the event's own.
    pub(super) body: Option<Bytes>,
    pub(super) replay: bool,
    /// Why the next attempt runs, such as `replay`.
    pub(super) cause: Option<String>,
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
            config_hash: job.config_hash,
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
        self.cause = Some("replay".into());
        self.reason = None;
    }

    fn detail(&self, n: u32) -> JobDetail {
        JobDetail {
            n,
            route: self.route.to_string(),
            state: self.state,
            attempt: self.attempt,
            step: self.step.clone(),
            due: (self.state == JobState::Pending).then_some(self.due),
            reason: self.reason.clone(),
            attempts: self.attempts.clone(),
        }
    }
}

impl EventRow {
    /// Counts the event's jobs by state.
    pub(super) fn job_counts(&self) -> JobCounts {
        let mut counts = JobCounts::default();
        self.jobs.iter().for_each(|job| counts.add(job.state));
        counts
    }

    pub(super) fn summary(&self) -> EventSummary {
        let jobs = self.job_counts();
        EventSummary {
            id: self.event.id(),
            source: self.event.source().to_owned(),
            event_type: self.event.event_type().map(str::to_owned),
            event_id: self.event.event_id().map(str::to_owned),
            status: jobs.status(self.status_without_jobs),
            received_at: self.event.received_at(),
            jobs,
        }
    }

    pub(super) fn detail(&self) -> EventDetail {
        EventDetail {
            summary: self.summary(),
            event: self.event.clone(),
            notes: self.notes.clone(),
            jobs: (0..).zip(&self.jobs).map(|(n, job)| job.detail(n)).collect(),
            content_duplicates: self.content_duplicates.clone(),
        }
    }
}
