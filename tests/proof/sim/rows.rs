//! An event and its jobs as the simulated store keeps them, and what changes a job.

use std::sync::Arc;

use bytes::Bytes;
use hookward_core::store::{
    AttemptRecord, ContentDuplicate, DedupeKey, JobOutcome, JobState, NewJob, Settlement, Status,
};
use hookward_core::{Event, Reply, Timestamp};

#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) event: Event,
    pub(crate) otherwise: Status,
    pub(crate) notes: Vec<String>,
    pub(crate) answer: Reply,
    pub(super) keys: Vec<DedupeKey>,
    pub(crate) content_duplicates: Vec<ContentDuplicate>,
    pub(crate) jobs: Vec<JobRow>,
}

#[derive(Debug)]
pub(crate) struct JobRow {
    pub(crate) route: Arc<str>,
    pub(crate) order_key: Option<Arc<str>>,
    pub(super) config_hash: u64,
    pub(crate) state: JobState,
    pub(crate) due: Timestamp,
    pub(crate) attempt: u32,
    pub(super) crashes: u32,
    pub(crate) step: Option<String>,
    pub(super) body: Option<Bytes>,
    pub(super) replay: bool,
    pub(super) cause: Option<String>,
    pub(crate) reason: Option<String>,
    pub(crate) attempts: Vec<AttemptRecord>,
    pub(super) started: Timestamp,
}

impl JobRow {
    pub(super) fn new(new: &NewJob, due: Timestamp) -> Self {
        Self {
            route: new.route.clone(),
            order_key: new.order_key.as_deref().map(Arc::from),
            config_hash: new.config_hash,
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

    pub(super) fn replayed(&mut self, now: Timestamp) {
        self.state = JobState::Pending;
        self.due = now;
        (self.attempt, self.crashes) = (0, 0);
        self.replay = true;
        self.cause = Some("replay".to_owned());
        self.reason = None;
    }

    pub(super) fn interrupted(&mut self, outcome: &str, started: Timestamp) {
        self.attempts.push(AttemptRecord {
            attempt: self.attempt,
            step: self.step.clone(),
            started_at: started.to_string(),
            duration_ms: 0,
            outcome: outcome.to_owned(),
            error: None,
            cause: self.cause.clone(),
        });
        self.cause = Some(outcome.to_owned());
        self.state = JobState::Pending;
    }

    pub(super) fn settled(&mut self, outcome: &JobOutcome) -> &'static str {
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
                "unrouted"
            }
            Settlement::Retry { at, step, body, cause } => {
                self.state = JobState::Pending;
                self.due = *at;
                (self.step, self.body) = (step.clone(), body.clone());
                self.cause = Some((*cause).to_owned());
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
                if outcome.attempt.is_some() { "released" } else { "given back" }
            }
        }
    }
}
