//! Claiming, extending and settling jobs of the memory store.

use hookward_core::store::{
    AttemptOutcome, AttemptRecord, Cause, ClaimRequest, Job, JobId, JobOutcome, JobState, Lease,
    Settled, Settlement,
};
use hookward_core::{Body, Event, Timestamp};

use super::rows::{ActiveLease, JobKey, JobRow};
use super::state::MemoryState;

impl MemoryState {
    /// Leases jobs that are due, at most as many for each route as it has free slots.
    pub(super) fn claim(&mut self, want: &ClaimRequest) -> Vec<Job> {
        self.reclaim_expired(want.now);
        let claimed = self.queue.claim(want.now, &want.slots, want.max_unrouted);
        claimed.into_iter().filter_map(|entry| self.lease_job(entry.key, want)).collect()
    }

    /// Makes jobs pending again whose lease has expired: their worker is gone or stuck.
    fn reclaim_expired(&mut self, now: Timestamp) {
        let has_expired = |lease: &ActiveLease| lease.until <= now;
        let expired: Vec<_> =
            self.leases.iter().filter(|(_, l)| has_expired(l)).map(|(id, l)| (*id, *l)).collect();
        for (id, lease) in expired {
            self.leases.remove(&id);
            let Some(job) = self.job_mut(lease.key) else { continue };
            job.attempts.push(
                AttemptRecord::new(job.attempt, lease.started.to_string(), AttemptOutcome::Lease)
                    .with_step(job.step.clone())
                    .with_duration_ms(
                        u64::try_from(now.since(lease.started).as_millis()).unwrap_or(0),
                    )
                    .with_cause(job.cause),
            );
            job.cause = Some(Cause::Lease);
            job.state = JobState::Pending;
            let due = job.due.min(now);
            self.requeue(lease.key, due);
        }
    }

    /// Marks one job as running and returns it with a new lease.
    fn lease_job(&mut self, key: JobKey, want: &ClaimRequest) -> Option<Job> {
        self.last_token += 1;
        let token = self.last_token;
        let event = self.events.get(&key.0)?.event.clone();
        let job = self.job_mut(key)?;
        job.state = JobState::Running;
        job.attempt += 1;
        let id = JobId { event: event.id(), n: key.1 };
        let leased =
            Job::new(Lease::new(id, token), with_body(event, job.body.as_ref()), job.route.clone())
                .with_step(job.step.clone())
                .with_attempt(job.attempt)
                .with_replay(job.replay)
                .with_cause(job.cause);
        let lease = ActiveLease { key, token, started: want.now, until: want.lease_until };
        self.leases.insert(id, lease);
        Some(leased)
    }

    /// Ends a lease with the outcome of its run. A lease that is not the job's current one changes
    /// nothing: another worker may run the job by now.
    pub(super) fn settle(&mut self, outcome: JobOutcome) -> Settled {
        let JobOutcome { lease, settlement, attempt, .. } = outcome;
        let current = self.leases.get(&lease.job).copied().filter(|l| l.token == lease.token);
        let Some(current) = current else { return Settled::Stale };
        self.leases.remove(&lease.job);
        let now = self.queue.now();
        let is_retry = matches!(settlement, Settlement::Retry { .. });
        let Some(job) = self.job_mut(current.key) else { return Settled::Stale };
        job.attempts.extend(attempt);
        apply(job, settlement);
        if job.state == JobState::Pending {
            // A released job was due when it was claimed. Where the clock was set back since, its
            // due time is in the future, and waiting for that would delay the job for hours.
            let due = if is_retry { job.due } else { job.due.min(now) };
            self.requeue(current.key, due);
        } else {
            self.unfinished.remove(&current.key);
            self.queue.remove(current.key);
        }
        Settled::Applied
    }

    /// Moves the end of a lease, unless it is stale.
    pub(super) fn extend(&mut self, lease: Lease, until: Timestamp) -> Settled {
        match self.leases.get_mut(&lease.job).filter(|current| current.token == lease.token) {
            Some(current) => {
                current.until = until;
                Settled::Applied
            }
            None => Settled::Stale,
        }
    }
}

/// Writes the outcome of a run into the job.
fn apply(job: &mut JobRow, settlement: Settlement) {
    match settlement {
        Settlement::Done => {
            job.state = JobState::Done;
            job.body = None;
        }
        Settlement::Retry { at, step, body, cause } => {
            job.state = JobState::Pending;
            job.due = at;
            (job.step, job.body) = (step, body);
            job.cause = Some(cause);
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
        Some(bytes) => Event::new(event.parts().clone().with_body(Body::new(bytes.clone()))),
    }
}
