//! Jobs on the simulated disk: claim, settle, extend, replay and purge.

use hookward_core::store::{
    AttemptOutcome, ClaimRequest, Job, JobId, JobOutcome, JobState, Lease, PurgeRequest, ReplayJob,
    Settled,
};
use hookward_core::{Body, Timestamp};

use super::{ActiveLease, Disk, Flaw, Key};
use crate::sim::journal::JournalEntry;
use crate::sim::rows::{EventRow, JobRow};

impl Disk {
    pub(crate) fn claim(&mut self, want: &ClaimRequest) -> Vec<Job> {
        self.clock = (want.now, self.clock.1 + self.clock.0.since(want.now));
        let expired: Vec<_> = self
            .leases
            .iter()
            .filter(|(_, active)| active.until <= want.now)
            .map(|(id, active)| (*id, *active))
            .collect();
        for (id, active) in expired {
            self.leases.remove(&id);
            if let Some(job) = self.job_mut(active.key) {
                job.interrupt(AttemptOutcome::Lease, active.started);
                self.enqueue(active.key);
            }
        }
        if self.real.is_some() {
            return self.claim_as_real(want);
        }
        let claimed = self.queue.claim(want.now, &want.slots, want.max_unrouted);
        claimed.into_iter().filter_map(|entry| self.claim_job(entry.key, want)).collect()
    }

    /// Claims what the real store claims.
    fn claim_as_real(&mut self, want: &ClaimRequest) -> Vec<Job> {
        let Some(mut real) = self.real.take() else { return Vec::new() };
        let mut jobs = Vec::new();
        for claimed in real.claim(want) {
            let JobId { event, n } = claimed.lease.job;
            let key = self.positions.get(&event).map(|position| (*position, n));
            let key =
                key.filter(|key| self.job(*key).is_some_and(|j| j.state == JobState::Pending));
            let job = key.and_then(|key| {
                self.queue.remove(key);
                self.claim_job(key, want)
            });
            real.claimed(&claimed, job.as_ref());
            jobs.extend(job);
        }
        self.real = Some(real);
        jobs
    }

    fn claim_job(&mut self, key: Key, want: &ClaimRequest) -> Option<Job> {
        self.last_token += 1;
        let token = self.last_token;
        let event = self.rows.get(&key.0)?.event.clone();
        let job = self.job_mut(key)?;
        job.state = JobState::Running;
        job.attempt += 1;
        job.started = want.now;
        let id = JobId { event: event.id(), n: key.1 };
        let claimed = Job::new(
            Lease::new(id, token),
            match &job.body {
                Some(bytes) => event.with_body(Body::new(bytes.clone())),
                None => event,
            },
            job.route.clone(),
        )
        .with_step(job.step.clone())
        .with_attempt(job.attempt)
        .with_crashes(job.crashes)
        .with_replay(job.replay)
        .with_cause(job.cause);
        self.leases
            .insert(id, ActiveLease { key, token, started: want.now, until: want.lease_until });
        let overtaken = self.overtaken(key);
        let early = self.job(key).is_some_and(|job| job.due > want.now.plus(self.clock.1));
        self.journal.push(JournalEntry::Claimed { lease: claimed.lease, overtaken, early });
        Some(claimed)
    }

    /// Returns an open job of the same order key that was accepted earlier. Reads the rows and not
    /// the queue, because the queue is what is checked.
    fn overtaken(&self, key: Key) -> Option<JobId> {
        let job = self.job(key)?;
        let order = job.order_key.as_ref()?;
        let open = |state| matches!(state, JobState::Pending | JobState::Running);
        let same = |other: &JobRow| {
            other.route == job.route && other.order_key.as_ref() == Some(order) && open(other.state)
        };
        self.rows.range(..=key.0).find_map(|(position, row)| {
            let mut jobs = (0..).zip(&row.jobs);
            let (n, _) = jobs.find(|(n, other)| (*position, *n) < key && same(other))?;
            Some(JobId { event: row.event.id(), n })
        })
    }

    /// Returns the lease if it is still the current one of its job.
    fn active_lease(&self, lease: Lease) -> Option<ActiveLease> {
        let fenced =
            |active: &&ActiveLease| active.token == lease.token || self.flaw == Flaw::NoFencing;
        self.leases.get(&lease.job).filter(fenced).copied()
    }

    /// Returns whether this attempt of the job has its current lease.
    pub(crate) fn has_lease(&self, job: JobId, attempt: u32) -> bool {
        let row = self.leases.get(&job).and_then(|active| self.job(active.key));
        row.is_some_and(|row| row.attempt == attempt)
    }

    pub(crate) fn settle(&mut self, outcome: &JobOutcome) -> Settled {
        let Some(active) = self.active_lease(outcome.lease) else { return Settled::Stale };
        self.leases.remove(&outcome.lease.job);
        let Some(job) = self.job_mut(active.key) else { return Settled::Stale };
        let settlement = job.settle(outcome);
        self.journal.push(JournalEntry::Settled { lease: outcome.lease, settlement });
        if self.job(active.key).is_some_and(|job| job.state == JobState::Pending) {
            self.enqueue(active.key);
        } else {
            self.queue.remove(active.key);
        }
        Settled::Applied
    }

    pub(crate) fn extend(&mut self, lease: Lease, until: Timestamp) -> Settled {
        if self.active_lease(lease).is_none() {
            return Settled::Stale;
        }
        if let Some(active) = self.leases.get_mut(&lease.job) {
            active.until = until;
        }
        self.journal.push(JournalEntry::Extended(lease));
        Settled::Applied
    }

    pub(crate) fn replay(&mut self, now: Timestamp, replay: &ReplayJob) -> bool {
        let (id, key) = match replay {
            ReplayJob::Revive(id) => {
                let Some(position) = self.positions.get(&id.event) else { return false };
                let key = (*position, id.n);
                if self.job(key).is_none_or(|job| job.state != JobState::Dead) {
                    return false;
                }
                (*id, key)
            }
            ReplayJob::Add { event, job } => {
                let Some(position) = self.positions.get(event).copied() else { return false };
                let Some(row) = self.rows.get_mut(&position) else { return false };
                row.jobs.push(JobRow::new(job, now));
                let n = u32::try_from(row.jobs.len() - 1).expect("few jobs");
                (JobId { event: *event, n }, (position, n))
            }
        };
        if let Some(job) = self.job_mut(key) {
            job.replay(now);
        }
        self.journal.push(JournalEntry::Replayed(id));
        self.enqueue(key);
        true
    }

    /// Removes closed events that are past their retention; returns how many.
    pub(crate) fn purge(&mut self, what: PurgeRequest) -> u64 {
        let dead_before = what.dead_before.min(what.events_before);
        let before = |row: &EventRow| match row.jobs.iter().any(|job| job.state == JobState::Dead) {
            true => dead_before,
            false => what.events_before,
        };
        let expired = |row: &EventRow| {
            let open = |s| matches!(s, JobState::Pending | JobState::Running);
            !row.jobs.iter().any(|job| open(job.state)) && row.event.received_at() < before(row)
        };
        let positions: Vec<_> = self
            .rows
            .iter()
            .filter(|(_, row)| expired(row))
            .map(|(at, _)| *at)
            .take(what.limit)
            .collect();
        for position in &positions {
            let Some(row) = self.rows.remove(position) else { continue };
            let (event, received_at) = (row.event.id(), row.event.received_at());
            let before = before(&row);
            self.journal.push(JournalEntry::Removed { event, received_at, before });
            self.positions.remove(&event);
            for key in row.keys {
                if self.keys.get(&key).is_some_and(|(owner, _)| owner == position) {
                    self.keys.remove(&key);
                }
            }
        }
        positions.len() as u64
    }

    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        let ends = self.leases.values().map(|active| active.until).min();
        match (self.queue.next_due(), ends) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// Returns when the event of the oldest pending job was received.
    pub(crate) fn oldest_pending(&self) -> Option<Timestamp> {
        let pending = |row: &&EventRow| row.jobs.iter().any(|job| job.state == JobState::Pending);
        self.rows.values().find(pending).map(|row| row.event.received_at())
    }
}
