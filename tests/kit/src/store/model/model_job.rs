//! A job in the model of the contract.

use std::sync::Arc;

use bytes::Bytes;
use hookward_core::Timestamp;
use hookward_core::store::{
    AttemptOutcome, AttemptRecord, Cause, JobOutcome, JobState, Lease, NewJob, Settlement,
};

use crate::store::POLICY;

#[derive(Debug, Clone)]
pub(super) struct ModelJob {
    pub(super) route: Arc<str>,
    pub(super) order_key: Option<String>,
    pub(super) state: JobState,
    pub(super) due: Timestamp,
    pub(super) attempt: u32,
    pub(super) crashes: u32,
    pub(super) step: Option<String>,
    pub(super) body: Option<Bytes>,
    pub(super) replay: bool,
    pub(super) cause: Option<Cause>,
    pub(super) reason: Option<String>,
    pub(super) attempts: Vec<AttemptRecord>,
    /// The lease, while the job runs.
    pub(super) held_lease: Option<HeldLease>,
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
            held_lease: None,
        }
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(self.state, JobState::Pending | JobState::Running)
    }

    pub(super) fn is_crash_suspect(&self) -> bool {
        self.crashes > 0
    }

    pub(super) fn replay(&mut self, now: Timestamp) {
        self.state = JobState::Pending;
        self.due = now;
        (self.attempt, self.crashes) = (0, 0);
        self.replay = true;
        self.cause = Some(Cause::Replay);
        self.reason = None;
    }

    pub(super) fn settle(&mut self, outcome: &JobOutcome) {
        self.held_lease = None;
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
                self.cause = Some(*cause);
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
    pub(super) fn interrupt(&mut self, outcome: AttemptOutcome) {
        let Some(held) = self.held_lease.take() else { return };
        self.attempts.push(
            AttemptRecord::new(self.attempt, held.started.to_string(), outcome)
                .with_step(self.step.clone())
                .with_cause(self.cause),
        );
        self.cause = outcome.next_cause();
        self.state = JobState::Pending;
    }

    /// Records that the process died while the job ran.
    pub(super) fn crash(&mut self) {
        self.interrupt(AttemptOutcome::Crash);
        if self.crashes >= POLICY.crash_limit {
            self.state = JobState::Dead;
            self.reason = Some("poison".to_owned());
        }
        self.crashes += 1;
    }
}
