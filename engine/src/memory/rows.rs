//! What the memory store keeps of an event and of a job.

use std::sync::Arc;

use bytes::Bytes;
use hookward_core::store::{
    AttemptRecord, ContentDuplicate, DedupeKey, EventDetail, EventSummary, JobCounts, JobDetail,
    JobState, NewJob, Status,
};
use hookward_core::{Event, Reply, Timestamp};

/// An event with everything that hangs on it.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) event: Event,
    /// Where it stands while it has no jobs.
    pub(super) otherwise: Status,
    pub(super) notes: Vec<String>,
    pub(super) answer: Reply,
    pub(super) keys: Vec<DedupeKey>,
    pub(super) content_duplicates: Vec<ContentDuplicate>,
    /// By their number.
    pub(super) jobs: Vec<KeptJob>,
}

/// A job.
#[derive(Debug)]
pub(super) struct KeptJob {
    pub(super) route: Arc<str>,
    pub(super) order_key: Option<Arc<str>>,
    pub(super) config_hash: u64,
    pub(super) state: JobState,
    pub(super) due: Timestamp,
    /// Attempts since it was made or revived.
    pub(super) attempt: u32,
    pub(super) step: Option<String>,
    /// The body for that step, where it is not the event's own.
    pub(super) body: Option<Bytes>,
    pub(super) replay: bool,
    /// Why the next attempt runs.
    pub(super) cause: Option<String>,
    pub(super) reason: Option<String>,
    pub(super) attempts: Vec<AttemptRecord>,
}

impl KeptJob {
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

    /// Makes it run because an operator asked for it.
    pub(super) fn replayed(&mut self, now: Timestamp) {
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

impl Kept {
    pub(super) fn counts(&self) -> JobCounts {
        let mut counts = JobCounts::default();
        self.jobs.iter().for_each(|job| counts.add(job.state));
        counts
    }

    pub(super) fn summary(&self) -> EventSummary {
        let jobs = self.counts();
        EventSummary {
            id: self.event.id(),
            source: self.event.source().to_owned(),
            event_type: self.event.event_type().map(str::to_owned),
            event_id: self.event.event_id().map(str::to_owned),
            status: jobs.status(self.otherwise),
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
