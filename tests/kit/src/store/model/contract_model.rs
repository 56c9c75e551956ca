//! The model of the store contract: the state that a correct store would hold, and the answers that it may
//! give. Performs no I/O, and prefers simple code to speed.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use hookward_core::store::{
    Acceptance, AttemptOutcome, ClaimRequest, ContentDuplicate, DedupeKey, DedupeKeyKind,
    EventStatus, Job, JobId, JobOutcome, JobState, Lease, NewDelivery, NewEvent, PurgeRequest,
    ReplayJob, Settled, batch_item,
};
use hookward_core::{Body, EventId, Reply, Timestamp};

use super::super::POLICY;
use super::model_job::{HeldLease, ModelJob};

/// A job's position in the order of acceptance: that of its event, then its own number.
pub(super) type JobPosition = (usize, usize);

#[derive(Debug)]
pub(super) struct ModelEvent {
    pub(super) new: NewEvent,
    pub(super) source: String,
    pub(super) body: Body,
    pub(super) headers: Vec<(String, String)>,
    pub(super) received_at: Timestamp,
    pub(super) answer: Reply,
    pub(super) content_duplicates: Vec<ContentDuplicate>,
    pub(super) jobs: Vec<ModelJob>,
    pub(super) purged: bool,
}

#[derive(Debug, Default)]
pub(super) struct ContractModel {
    /// Events in the order of acceptance. Purged events stay in the list and are marked.
    pub(super) events: Vec<ModelEvent>,
    event_positions: HashMap<EventId, usize>,
    keys: HashMap<DedupeKey, (usize, Timestamp)>,
    tokens: HashSet<Lease>,
    /// The latest time that a call named.
    pub(super) latest: Timestamp,
    /// Total time by which the clock was set back. A store may release a waiting job earlier by up
    /// to that time.
    pub(super) total_set_back: Duration,
}

impl ModelEvent {
    pub(super) fn status(&self) -> EventStatus {
        let mut counts = hookward_core::store::JobCounts::default();
        self.jobs.iter().for_each(|job| counts.add(job.state));
        counts.status(self.new.status.into())
    }

    /// The body that the first step receives.
    pub(super) fn own_body(&self) -> Body {
        let part = self.new.item_pointer.as_deref().and_then(|at| batch_item(&self.body, at));
        part.unwrap_or_else(|| self.body.clone())
    }
}

impl ContractModel {
    pub(super) fn job(&self, position: JobPosition) -> Option<&ModelJob> {
        self.events.get(position.0)?.jobs.get(position.1)
    }

    fn job_mut(&mut self, position: JobPosition) -> Option<&mut ModelJob> {
        self.events.get_mut(position.0)?.jobs.get_mut(position.1)
    }

    fn position(&self, job: JobId) -> Option<JobPosition> {
        Some((*self.event_positions.get(&job.event)?, usize::try_from(job.n).ok()?))
    }

    pub(super) fn stored_events(&self) -> impl DoubleEndedIterator<Item = &ModelEvent> {
        self.events.iter().filter(|event| !event.purged)
    }

    /// All jobs, in the order of acceptance.
    pub(super) fn jobs(&self) -> impl Iterator<Item = (JobPosition, &ModelJob)> {
        let present = self.events.iter().enumerate().filter(|(_, event)| !event.purged);
        present.flat_map(|(at, event)| {
            event.jobs.iter().enumerate().map(move |(n, job)| ((at, n), job))
        })
    }

    pub(super) fn accept(&mut self, delivery: &NewDelivery) -> Acceptance {
        self.latest = self.latest.max(delivery.received_at);
        let (mut accepted, mut known) = (0, Vec::new());
        for new in &delivery.events {
            let Some((owner, by)) = self.find_owner(new, delivery.dedupe_since) else {
                self.insert(delivery, new);
                accepted += 1;
                continue;
            };
            known.push((owner, by));
            let listed = self.events.get_mut(owner).filter(|e| {
                (e.content_duplicates.len() as u64) < u64::from(POLICY.max_content_duplicates)
            });
            if let Some(event) = listed.filter(|_| by == DedupeKeyKind::Content) {
                let event_id = new.event_id.clone();
                event
                    .content_duplicates
                    .push(ContentDuplicate::new(event_id, delivery.received_at));
            }
        }
        let last = known.iter().max_by_key(|(owner, _)| *owner).filter(|_| accepted == 0);
        match last.and_then(|(owner, by)| Some((self.events.get(*owner)?, *by))) {
            Some((event, by)) => {
                Acceptance::Duplicate { answer: event.answer.clone(), of: event.new.id, by }
            }
            None => Acceptance::Accepted { known: known.len() },
        }
    }

    fn find_owner(&self, new: &NewEvent, since: Timestamp) -> Option<(usize, DedupeKeyKind)> {
        new.keys.iter().find_map(|key| {
            let (owner, at) = *self.keys.get(key)?;
            (at >= since).then_some((owner, key.kind))
        })
    }

    fn insert(&mut self, delivery: &NewDelivery, new: &NewEvent) {
        let at = self.events.len();
        for key in &new.keys {
            self.keys.insert(*key, (at, delivery.received_at));
        }
        self.event_positions.insert(new.id, at);
        self.events.push(ModelEvent {
            new: new.clone(),
            source: delivery.source.to_string(),
            body: delivery.body.clone(),
            headers: delivery.headers.to_vec(),
            received_at: delivery.received_at,
            answer: delivery.answer.clone(),
            content_duplicates: Vec::new(),
            jobs: new.jobs.iter().map(|job| ModelJob::new(job, delivery.received_at)).collect(),
            purged: false,
        });
    }

    /// Whether no other job blocks this waiting job.
    fn is_free(&self, position: JobPosition, job: &ModelJob) -> bool {
        if job.is_crash_suspect()
            && self.jobs().any(|(_, j)| j.is_crash_suspect() && j.held_lease.is_some())
        {
            return false;
        }
        if job.order_key.is_none() {
            return true;
        }
        let same =
            |j: &ModelJob| j.route == job.route && j.order_key == job.order_key && j.is_open();
        let mut others = self.jobs().filter(|(p, j)| *p != position && same(j));
        others.all(|(p, j)| p > position && j.held_lease.is_none())
    }

    /// Checks the jobs that a store returned for a claim, and records their leases.
    pub(super) fn check_claim(&mut self, claim: &ClaimRequest, jobs: &[Job]) -> Result<(), String> {
        self.latest = self.latest.max(claim.now);
        for event in self.events.iter_mut().filter(|event| !event.purged) {
            for job in &mut event.jobs {
                if job.held_lease.is_some_and(|held| held.until <= claim.now) {
                    job.interrupt(AttemptOutcome::Lease);
                }
            }
        }
        let mut free_slots: HashMap<&str, usize> =
            claim.slots.iter().map(|(route, free)| (&**route, *free)).collect();
        let mut unknown = claim.max_unrouted;
        for claimed in jobs {
            let slots = free_slots.get_mut(&*claimed.route).unwrap_or(&mut unknown);
            *slots = slots
                .checked_sub(1)
                .ok_or_else(|| format!("more jobs than free slots: {claimed:?}"))?;
            self.check_claimed_job(claim, claimed).map_err(|e| format!("{e}: {claimed:?}"))?;
        }
        for (position, job) in self.jobs() {
            let slots = free_slots.get(&*job.route).copied().unwrap_or(unknown);
            let waits = job.state == JobState::Pending && job.due <= claim.now;
            if slots > 0 && waits && self.is_free(position, job) {
                return Err(format!("job {position:?} is due and was not claimed: {job:?}"));
            }
        }
        Ok(())
    }

    fn check_claimed_job(&mut self, claim: &ClaimRequest, claimed: &Job) -> Result<(), String> {
        let position = self.position(claimed.lease.job).ok_or("an unknown job")?;
        let model_event = self.events.get(position.0).ok_or("no such event")?;
        let job = self.job(position).ok_or("no such job")?;
        if job.state != JobState::Pending {
            return Err(format!("a job in the state {:?}", job.state));
        }
        if job.due > claim.now.plus(self.total_set_back) {
            return Err(format!("it is due at {}", job.due));
        }
        if !self.is_free(position, job) {
            return Err("it waits for another job".to_owned());
        }
        let body = job.body.clone().unwrap_or_else(|| model_event.own_body().bytes().clone());
        let event = &claimed.event;
        let same = claimed.route == job.route
            && (claimed.step == job.step && claimed.attempt == job.attempt + 1)
            && (claimed.crashes == job.crashes && claimed.replay == job.replay)
            && claimed.cause == job.cause
            && *event.body().bytes() == body
            && event.headers() == model_event.headers
            && event.event_type() == model_event.new.event_type.as_deref()
            && event.event_id() == model_event.new.event_id.as_deref()
            && (event.source() == model_event.source
                && event.received_at() == model_event.received_at);
        if !same {
            return Err(format!("expected {job:?} of {model_event:?}"));
        }
        if !self.tokens.insert(claimed.lease) {
            return Err("its token was used before".to_owned());
        }
        let held_lease =
            HeldLease { lease: claimed.lease, started: claim.now, until: claim.lease_until };
        let job = self.job_mut(position).ok_or("no such job")?;
        job.attempt += 1;
        job.state = JobState::Running;
        job.held_lease = Some(held_lease);
        Ok(())
    }

    fn job_of_current_lease(&mut self, lease: Lease) -> Option<&mut ModelJob> {
        let position = self.position(lease.job)?;
        self.job_mut(position).filter(|job| job.held_lease.is_some_and(|held| held.lease == lease))
    }

    pub(super) fn settle(&mut self, outcome: &JobOutcome) -> Settled {
        let Some(job) = self.job_of_current_lease(outcome.lease) else { return Settled::Stale };
        job.settle(outcome);
        Settled::Applied
    }

    pub(super) fn extend(&mut self, lease: Lease, until: Timestamp) -> Settled {
        let Some(job) = self.job_of_current_lease(lease) else { return Settled::Stale };
        if let Some(held) = &mut job.held_lease {
            held.until = until;
        }
        Settled::Applied
    }

    pub(super) fn replay(&mut self, now: Timestamp, jobs: &[ReplayJob]) -> usize {
        self.latest = self.latest.max(now);
        jobs.iter().filter_map(|job| self.replay_one(now, job)).count()
    }

    fn replay_one(&mut self, now: Timestamp, replay: &ReplayJob) -> Option<()> {
        match replay {
            ReplayJob::Revive(id) => {
                let position = self.position(*id)?;
                let job = self.job_mut(position).filter(|job| job.state == JobState::Dead)?;
                job.replay(now);
            }
            ReplayJob::Add { event, job } => {
                let at = *self.event_positions.get(event)?;
                let mut job = ModelJob::new(job, now);
                job.replay(now);
                self.events.get_mut(at)?.jobs.push(job);
            }
        }
        Some(())
    }

    /// The positions of the events that a purge may remove.
    pub(super) fn expired_events(&self, request: &PurgeRequest) -> Vec<usize> {
        let is_expired = |event: &ModelEvent| {
            let dead = event.jobs.iter().any(|job| job.state == JobState::Dead);
            let dead_before = request.dead_before.min(request.events_before);
            let before = if dead { dead_before } else { request.events_before };
            let open = event.jobs.iter().any(ModelJob::is_open);
            !event.purged && !open && event.received_at < before
        };
        self.events.iter().enumerate().filter(|(_, e)| is_expired(e)).map(|(at, _)| at).collect()
    }

    pub(super) fn remove(&mut self, at: usize) {
        self.keys.retain(|_, (owner, _)| *owner != at);
        if let Some(event) = self.events.get_mut(at) {
            self.event_positions.remove(&event.new.id);
            event.purged = true;
        }
    }

    /// A new owner voids all leases.
    pub(super) fn reopen(&mut self, now: Timestamp) {
        self.latest = self.latest.max(now);
        let jobs = self.events.iter_mut().flat_map(|event| &mut event.jobs);
        jobs.filter(|job| job.held_lease.is_some()).for_each(ModelJob::crash);
    }

    /// The earliest and the latest correct value of `next_due`: a store may or may not count a job that is
    /// blocked by another one. `None` if no job waits or runs.
    pub(super) fn next_due(&self) -> Option<(Timestamp, Timestamp)> {
        let until = |job: &ModelJob| job.held_lease.map(|held| held.until);
        let waits = |job: &ModelJob| (job.state == JobState::Pending).then_some(job.due);
        let any = self.jobs().filter_map(|(_, job)| until(job).or(waits(job))).min();
        let free = self.jobs().filter_map(|(position, job)| {
            until(job).or_else(|| waits(job).filter(|_| self.is_free(position, job)))
        });
        any.zip(free.min())
    }
}
