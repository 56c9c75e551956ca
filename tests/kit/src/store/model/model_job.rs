//! A job in the model of the contract.

use std::sync::Arc;

use bytes::Bytes;
use hookward_core::Timestamp;
use hookward_core::store::{AttemptRecord, JobOutcome, JobState, Lease, NewJob, Settlement};

/// A crash suspect that was running at this many further deaths of the process is poison.
const MAX_LONE_CRASHES: u32 = 3;

#[derive(Debug, Clone)]
pub(super) struct ModelJob {
    pub(super) route: Arc<str>,
    pub(super) order_key: Option<String>,
    pub(super) config_hash: u64,
    pub(super) state: JobState,
    pub(super) due: Timestamp,
    pub(super) attempt: u32,
    pub(super) crashes: u32,
    pub(super) step: Option<String>,
    pub(super) body: Option<Bytes>,
    pub(super) replay: bool,
    pub(super) cause: Option<String>,
    pub(super) reason: Option<String>,
    pub(super) attempts: Vec<AttemptRecord>,
    /// The lease, while the job runs.
    pub(super) out: Option<HeldLease>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct HeldLease {
    pub(super) lease: Lease,
    pub(super) started: Timestamp,
    pub(super) until: Timestamp,
}

impl ModelJob {
    pub(super) fn new(new: &NewJob, due: Timestamp) -> Self {
        Self {
            route: new.route.clone(),
            order_key: new.order_key.clone(),
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
            out: None,
        }
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(self.state, JobState::Pending | JobState::Running)
    }

    pub(super) fn is_crash_suspect(&self) -> bool {
        self.crashes > 0
    }

    pub(super) fn replayed(&mut self, now: Timestamp) {
        self.state = JobState::Pending;
        self.due = now;
        (self.attempt, self.crashes) = (0, 0);
        self.replay = true;
        self.cause = Some("replay".to_owned());
        self.reason = None;
    }

    pub(super) fn settled(&mut self, outcome: &JobOutcome) {
        self.out = None;
        self.attempts.extend(outcome.attempt.clone());
        let mut resume_at = |step: &Option<String>, body: &Option<Bytes>| {
            (self.step, self.body) = (step.clone(), body.clone());
        };
        match &outcome.settlement {
            Settlement::Done => self.state = JobState::Done,
            Settlement::Unrouted => self.state = JobState::Unrouted,
            Settlement::Retry { at, step, body, cause } => {
                resume_at(step, body);
                self.state = JobState::Pending;
                self.due = *at;
                self.cause = Some((*cause).to_owned());
            }
            Settlement::Dead { reason, step, body } => {
                resume_at(step, body);
                self.state = JobState::Dead;
                self.reason = Some(reason.clone());
            }
            Settlement::Released { step, body } => {
                resume_at(step, body);
                self.state = JobState::Pending;
                self.attempt -= 1;
            }
        }
    }

    /// Ends the attempt without an outcome from the worker.
    pub(super) fn interrupted(&mut self, outcome: &str) {
        let Some(out) = self.out.take() else { return };
        self.attempts.push(AttemptRecord {
            attempt: self.attempt,
            step: self.step.clone(),
            started_at: out.started.to_string(),
            duration_ms: 0,
            outcome: outcome.to_owned(),
            error: None,
            cause: self.cause.clone(),
        });
        self.cause = Some(outcome.to_owned());
        self.state = JobState::Pending;
    }

    /// Records that the process died while the job ran.
    pub(super) fn crashed(&mut self) {
        self.interrupted("crash");
        if self.crashes >= MAX_LONE_CRASHES {
            self.state = JobState::Dead;
            self.reason = Some("poison".to_owned());
        }
        self.crashes += 1;
    }
}
