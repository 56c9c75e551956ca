//! An event and its jobs as rows of the simulated store, and the changes of a job row.

use std::sync::Arc;

use bytes::Bytes;
use hookward_core::store::{
    AttemptOutcome, AttemptRecord, Cause, ContentDuplicate, DedupeKey, EventStatus, JobOutcome,
    JobState, NewJob, Settlement,
};
use hookward_core::{Event, Reply, Timestamp};

use super::journal::{RELEASED_UNSTARTED, UNROUTED};

/// A stored event, its answer and its jobs.
#[derive(Debug)]
pub(crate) struct EventRow {
    pub(crate) event: Event,
    pub(crate) status_without_jobs: EventStatus,
    pub(crate) notes: Vec<String>,
    pub(crate) answer: Reply,
    pub(super) keys: Vec<DedupeKey>,
    pub(crate) content_duplicates: Vec<ContentDuplicate>,
    pub(crate) jobs: Vec<JobRow>,
}

/// A job: one route of one event.
#[derive(Debug)]
pub(crate) struct JobRow {
    pub(crate) route: Arc<str>,
    pub(crate) order_key: Option<Arc<str>>,
    pub(crate) state: JobState,
    pub(crate) due: Timestamp,
    pub(crate) attempt: u32,
    pub(super) crashes: u32,
    pub(crate) step: Option<String>,
    pub(super) body: Option<Bytes>,
    pub(super) replay: bool,
    pub(super) cause: Option<Cause>,
    pub(crate) reason: Option<String>,
    pub(crate) attempts: Vec<AttemptRecord>,
    /// Time of the last claim.
    pub(super) started: Timestamp,
}

impl JobRow {
    pub(super) fn new(new: &NewJob, due: Timestamp) -> Self {
        Self {
            route: new.route.clone(),
            order_key: new.order_key.as_deref().map(Arc::from),
            state: JobState::Pending,
            due,
            attempt: 0,
            crashes: 0,
            step: None,
            body: None,
            replay: false,
            cause: None,
            reason: None,
            attempts: Vec::new(),
            started: Timestamp::default(),
        }
    }

    /// Makes the job pending again, with the attempts and crashes of a new job.
    pub(super) fn replay(&mut self, now: Timestamp) {
        self.state = JobState::Pending;
        self.due = now;
        (self.attempt, self.crashes) = (0, 0);
        self.replay = true;
        self.cause = Some(Cause::Replay);
        self.reason = None;
    }

    /// Records a run that ended without a settlement, by a crash or an expired lease.
    pub(super) fn interrupt(&mut self, outcome: AttemptOutcome, started: Timestamp) {
        self.attempts.push(
            AttemptRecord::new(self.attempt, started.to_string(), outcome)
                .with_step(self.step.clone())
                .with_cause(self.cause),
        );
        self.cause = outcome.next_cause();
        self.state = JobState::Pending;
    }

    /// Applies an outcome; returns its name for the journal.
    pub(super) fn settle(&mut self, outcome: &JobOutcome) -> &'static str {
        self.attempts.extend(outcome.attempt.clone());
        match &outcome.settlement {
            Settlement::Done => {
                self.state = JobState::Done;
                self.body = None;
                "done"
            }
            Settlement::Unrouted => {
                self.state = JobState::Unrouted;
                self.body = None;
                UNROUTED
            }
            Settlement::Retry { at, step, body, cause } => {
                self.state = JobState::Pending;
                self.due = *at;
                (self.step, self.body) = (step.clone(), body.clone());
                self.cause = Some(*cause);
                "retry"
            }
            Settlement::Dead { reason, step, body } => {
                self.state = JobState::Dead;
                (self.step, self.body) = (step.clone(), body.clone());
                self.reason = Some(reason.clone());
                "dead"
            }
            Settlement::Released { step, body } => {
                self.state = JobState::Pending;
                self.attempt = self.attempt.saturating_sub(1);
                (self.step, self.body) = (step.clone(), body.clone());
                if outcome.attempt.is_some() { "released" } else { RELEASED_UNSTARTED }
            }
        }
    }
}
