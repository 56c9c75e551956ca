//! The model of the store contract: the state that a correct store would hold, and the answers that it may
//! give. Pure, and slow where that is simpler.

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
    places: HashMap<EventId, usize>,
    keys: HashMap<DedupeKey, (usize, Timestamp)>,
    tokens: HashSet<Lease>,
    /// The latest time that a call named.
    pub(super) latest: Timestamp,
    /// By how much the clock was set back in total. A store may release a waiting job earlier by as much.
    pub(super) set_back: Duration,
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
    pub(super) fn job(&self, place: JobPosition) -> Option<&ModelJob> {
        self.events.get(place.0)?.jobs.get(place.1)
    }

    fn job_mut(&mut self, place: JobPosition) -> Option<&mut ModelJob> {
        self.events.get_mut(place.0)?.jobs.get_mut(place.1)
    }

    fn place(&self, job: JobId) -> Option<JobPosition> {
        Some((*self.places.get(&job.event)?, usize::try_from(job.n).ok()?))
    }

    pub(super) fn present(&self) -> impl DoubleEndedIterator<Item = &ModelEvent> {
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
        let (mut taken, mut known) = (0, Vec::new());
        for new in &delivery.events {
            let Some((owner, by)) = self.owner(new, delivery.dedupe_since) else {
                self.insert(delivery, new);
                taken += 1;
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
        let last = known.iter().max_by_key(|(owner, _)| *owner).filter(|_| taken == 0);
        match last.and_then(|(owner, by)| Some((self.events.get(*owner)?, *by))) {
            Some((event, by)) => {
                Acceptance::Duplicate { answer: event.answer.clone(), of: event.new.id, by }
            }
            None => Acceptance::Accepted { known: known.len() },
        }
    }

    fn owner(&self, new: &NewEvent, since: Timestamp) -> Option<(usize, DedupeKeyKind)> {
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
        self.places.insert(new.id, at);
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
    fn is_free(&self, place: JobPosition, job: &ModelJob) -> bool {
        if job.is_crash_suspect()
            && self.jobs().any(|(_, j)| j.is_crash_suspect() && j.out.is_some())
        {
            return false;
        }
        if job.order_key.is_none() {
            return true;
        }
        let same =
            |j: &ModelJob| j.route == job.route && j.order_key == job.order_key && j.is_open();
        let mut others = self.jobs().filter(|(p, j)| *p != place && same(j));
        others.all(|(p, j)| p > place && j.out.is_none())
    }

    /// Checks the jobs that a store returned for a claim, and records their leases.
    pub(super) fn check_claim(&mut self, want: &ClaimRequest, jobs: &[Job]) -> Result<(), String> {
        self.latest = self.latest.max(want.now);
        for event in self.events.iter_mut().filter(|event| !event.purged) {
            for job in &mut event.jobs {
                if job.out.is_some_and(|out| out.until <= want.now) {
                    job.interrupted(AttemptOutcome::Lease);
                }
            }
        }
        let mut left: HashMap<&str, usize> =
            want.slots.iter().map(|(route, free)| (&**route, *free)).collect();
        let mut unknown = want.max_unrouted;
        for claimed in jobs {
            let slots = left.get_mut(&*claimed.route).unwrap_or(&mut unknown);
            *slots = slots
                .checked_sub(1)
                .ok_or_else(|| format!("more jobs than free slots: {claimed:?}"))?;
            self.check_claimed_job(want, claimed).map_err(|e| format!("{e}: {claimed:?}"))?;
        }
        for (place, job) in self.jobs() {
            let slots = left.get(&*job.route).copied().unwrap_or(unknown);
            let waits = job.state == JobState::Pending && job.due <= want.now;
            if slots > 0 && waits && self.is_free(place, job) {
                return Err(format!("job {place:?} is due and was not claimed: {job:?}"));
            }
        }
        Ok(())
    }

    fn check_claimed_job(&mut self, want: &ClaimRequest, claimed: &Job) -> Result<(), String> {
        let place = self.place(claimed.lease.job).ok_or("an unknown job")?;
        let own = self.events.get(place.0).ok_or("no such event")?;
        let job = self.job(place).ok_or("no such job")?;
        if job.state != JobState::Pending {
            return Err(format!("a job in the state {:?}", job.state));
        }
        if job.due > want.now.plus(self.set_back) {
            return Err(format!("it is due at {}", job.due));
        }
        if !self.is_free(place, job) {
            return Err("it waits for another job".to_owned());
        }
        let body = job.body.clone().unwrap_or_else(|| own.own_body().bytes().clone());
        let event = &claimed.event;
        let same = claimed.route == job.route
            && (claimed.step == job.step && claimed.attempt == job.attempt + 1)
            && (claimed.crashes == job.crashes && claimed.replay == job.replay)
            && claimed.cause == job.cause
            && *event.body().bytes() == body
            && event.headers() == own.headers
            && event.event_type() == own.new.event_type.as_deref()
            && event.event_id() == own.new.event_id.as_deref()
            && (event.source() == own.source && event.received_at() == own.received_at);
        if !same {
            return Err(format!("it expected be {job:?} of {own:?}"));
        }
        if !self.tokens.insert(claimed.lease) {
            return Err("its token was used before".to_owned());
        }
        let out = HeldLease { lease: claimed.lease, started: want.now, until: want.lease_until };
        let job = self.job_mut(place).ok_or("no such job")?;
        job.attempt += 1;
        job.state = JobState::Running;
        job.out = Some(out);
        Ok(())
    }

    fn current(&mut self, lease: Lease) -> Option<&mut ModelJob> {
        let place = self.place(lease.job)?;
        self.job_mut(place).filter(|job| job.out.is_some_and(|out| out.lease == lease))
    }

    pub(super) fn settle(&mut self, outcome: &JobOutcome) -> Settled {
        let Some(job) = self.current(outcome.lease) else { return Settled::Stale };
        job.settled(outcome);
        Settled::Applied
    }

    pub(super) fn extend(&mut self, lease: Lease, until: Timestamp) -> Settled {
        let Some(job) = self.current(lease) else { return Settled::Stale };
        if let Some(out) = &mut job.out {
            out.until = until;
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
                let place = self.place(*id)?;
                let job = self.job_mut(place).filter(|job| job.state == JobState::Dead)?;
                job.replayed(now);
            }
            ReplayJob::Add { event, job } => {
                let at = *self.places.get(event)?;
                let mut job = ModelJob::new(job, now);
                job.replayed(now);
                self.events.get_mut(at)?.jobs.push(job);
            }
        }
        Some(())
    }

    /// The positions of the events that a purge may remove.
    pub(super) fn expired_events(&self, what: PurgeRequest) -> Vec<usize> {
        let expired_events = |event: &ModelEvent| {
            let dead = event.jobs.iter().any(|job| job.state == JobState::Dead);
            let dead_before = what.dead_before.min(what.events_before);
            let before = if dead { dead_before } else { what.events_before };
            let open = event.jobs.iter().any(ModelJob::is_open);
            !event.purged && !open && event.received_at < before
        };
        self.events
            .iter()
            .enumerate()
            .filter(|(_, e)| expired_events(e))
            .map(|(at, _)| at)
            .collect()
    }

    pub(super) fn remove(&mut self, at: usize) {
        self.keys.retain(|_, (owner, _)| *owner != at);
        if let Some(event) = self.events.get_mut(at) {
            self.places.remove(&event.new.id);
            event.purged = true;
        }
    }

    /// A new owner voids all leases.
    pub(super) fn reopen(&mut self, now: Timestamp) {
        self.latest = self.latest.max(now);
        let jobs = self.events.iter_mut().flat_map(|event| &mut event.jobs);
        jobs.filter(|job| job.out.is_some()).for_each(ModelJob::crashed);
    }

    /// The earliest and the latest correct value of `next_due`: a store may or may not count a job that is
    /// blocked by another one. `None` if no job waits or runs.
    pub(super) fn next_due(&self) -> Option<(Timestamp, Timestamp)> {
        let until = |job: &ModelJob| job.out.map(|out| out.until);
        let waits = |job: &ModelJob| (job.state == JobState::Pending).then_some(job.due);
        let any = self.jobs().filter_map(|(_, job)| until(job).or(waits(job))).min();
        let free = self.jobs().filter_map(|(place, job)| {
            until(job).or_else(|| waits(job).filter(|_| self.is_free(place, job)))
        });
        any.zip(free.min())
    }
}
