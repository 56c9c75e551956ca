//! Handing jobs out and taking them back, in the memory store.

use hookward_core::store::{
    AttemptRecord, Claim, Job, JobId, JobOutcome, JobState, Lease, Settled, Settlement,
};
use hookward_core::{Body, Event, EventParts, Timestamp};

use super::rows::KeptJob;
use super::state::{Key, State};

/// A job that is out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Held {
    key: Key,
    token: u64,
    started: Timestamp,
    pub(super) until: Timestamp,
}

impl State {
    pub(super) fn claim(&mut self, want: &Claim) -> Vec<Job> {
        self.reclaim_expired(want.now);
        let taken = self.schedule.claim(want.now, &want.slots, want.unknown);
        taken.into_iter().filter_map(|entry| self.hand_out(entry.key, want)).collect()
    }

    /// A worker that no longer extends its lease is taken for lost, and its job runs again.
    fn reclaim_expired(&mut self, now: Timestamp) {
        let lost = |held: &Held| held.until <= now;
        let gone: Vec<_> =
            self.held.iter().filter(|(_, h)| lost(h)).map(|(id, h)| (*id, *h)).collect();
        for (id, held) in gone {
            self.held.remove(&id);
            let Some(job) = self.job_mut(held.key) else { continue };
            job.attempts.push(AttemptRecord {
                attempt: job.attempt,
                step: job.step.clone(),
                started_at: held.started.to_string(),
                duration_ms: u64::try_from(now.since(held.started).as_millis()).unwrap_or(0),
                outcome: "lease".into(),
                error: None,
                cause: job.cause.clone(),
            });
            job.cause = Some("lease".into());
            job.state = JobState::Pending;
            let due = job.due.min(now);
            self.line_up_again(held.key, due);
        }
    }

    fn hand_out(&mut self, key: Key, want: &Claim) -> Option<Job> {
        self.token += 1;
        let token = self.token;
        let event = self.events.get(&key.0)?.event.clone();
        let job = self.job_mut(key)?;
        job.state = JobState::Running;
        job.attempt += 1;
        let id = JobId { event: event.id(), n: key.1 };
        let handed_out = Job {
            lease: Lease { job: id, token },
            event: with_body(event, job.body.as_ref()),
            route: job.route.clone(),
            step: job.step.clone(),
            attempt: job.attempt,
            crashes: 0,
            replay: job.replay,
            config_hash: job.config_hash,
            cause: job.cause.clone(),
        };
        self.held.insert(id, Held { key, token, started: want.now, until: want.lease_until });
        Some(handed_out)
    }

    pub(super) fn settle(&mut self, outcome: JobOutcome) -> Settled {
        let JobOutcome { lease, settlement, attempt } = outcome;
        let Some(held) = self.held.get(&lease.job).copied().filter(|h| h.token == lease.token)
        else {
            return Settled::Stale;
        };
        self.held.remove(&lease.job);
        let now = self.schedule.now();
        let retried = matches!(settlement, Settlement::Retry { .. });
        let Some(job) = self.job_mut(held.key) else { return Settled::Stale };
        job.attempts.extend(attempt);
        apply(job, settlement);
        if job.state == JobState::Pending {
            // A job that is given back was due by the clock as it was.
            let due = if retried { job.due } else { job.due.min(now) };
            self.line_up_again(held.key, due);
        } else {
            self.open.remove(&held.key);
            self.schedule.remove(held.key);
        }
        Settled::Applied
    }

    pub(super) fn extend(&mut self, lease: Lease, until: Timestamp) -> Settled {
        match self.held.get_mut(&lease.job).filter(|held| held.token == lease.token) {
            Some(held) => {
                held.until = until;
                Settled::Applied
            }
            None => Settled::Stale,
        }
    }
}

fn apply(job: &mut KeptJob, settlement: Settlement) {
    match settlement {
        Settlement::Done => {
            job.state = JobState::Done;
            job.body = None;
        }
        Settlement::Retry { at, step, body, cause } => {
            job.state = JobState::Pending;
            job.due = at;
            (job.step, job.body) = (step, body);
            job.cause = Some(cause.into());
        }
        Settlement::Dead { reason, step, body } => {
            job.state = JobState::Dead;
            (job.step, job.body) = (step, body);
            job.reason = Some(reason);
        }
        Settlement::Released { step, body } => {
            job.state = JobState::Pending;
            job.attempt = job.attempt.saturating_sub(1);
            (job.step, job.body) = (step, body);
        }
        Settlement::Unrouted => {
            job.state = JobState::Unrouted;
            job.body = None;
        }
    }
}

fn with_body(event: Event, body: Option<&bytes::Bytes>) -> Event {
    match body {
        None => event,
        Some(bytes) => {
            Event::new(EventParts { body: Body::new(bytes.clone()), ..event.parts().clone() })
        }
    }
}
