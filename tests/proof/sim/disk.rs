//! What the simulated store has on its disk, and what its owner knows by heart. Every call here is
//! one transaction that has happened; [`super::store`] decides whether and when it does. The journal
//! says in which order things became durable, for the judge.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use bytes::Bytes;
use hookward_core::store::{
    Acceptance, Claim, ContentDuplicate, DedupeKey, Job, JobId, JobOutcome, JobQueue, JobState,
    KeyKind, Lease, NewDelivery, NewEvent, Purge, QueuedJob, ReplayJob, Settled, batch_item,
};
use hookward_core::{Body, Event, EventId, EventParts, Reply, Timestamp};

use super::rows::{JobRow, Row};

/// What is wrong with the store: each flaw must be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flaw {
    None,
    /// It answers before the commit.
    AckEarly,
    /// Any lease of a job is as good as its current one.
    NoFencing,
    /// Whether a delivery is known is looked up before the commit, and not again in it.
    DedupeOutside,
    /// It does not know of order keys.
    NoOrder,
    /// A crash loses which jobs were out, as if they were done.
    ForgetsRunning,
}

/// What became durable.
#[derive(Debug, Clone)]
pub(crate) enum Durable {
    Accepted {
        event: EventId,
        body: Bytes,
        at: Timestamp,
        since: Timestamp,
        keys: Vec<DedupeKey>,
        jobs: u32,
        answer: Reply,
    },
    /// `before`: an open job of its order key that came earlier. `early`: it was not yet due, by
    /// the clock or by how far that was set back since.
    HandedOut {
        lease: Lease,
        before: Option<JobId>,
        early: bool,
    },
    Settled {
        lease: Lease,
        word: &'static str,
    },
    Extended(Lease),
    Replayed(JobId),
    Removed {
        event: EventId,
        received_at: Timestamp,
        before: Timestamp,
    },
    Reopened,
}

pub(super) type Key = (u64, u32);

#[derive(Debug, Clone, Copy)]
struct Held {
    key: Key,
    token: u64,
    started: Timestamp,
    until: Timestamp,
}

/// Whose event each event of a delivery repeats.
pub(super) type Known = Vec<Option<(u64, KeyKind)>>;

#[derive(Debug)]
pub(crate) struct Disk {
    pub(crate) flaw: Flaw,
    pub(crate) rows: BTreeMap<u64, Row>,
    pub(crate) places: HashMap<EventId, u64>,
    keys: HashMap<DedupeKey, (u64, Timestamp)>,
    last: u64,
    token: u64,
    pub(crate) journal: Vec<Durable>,
    /// Commits of which nobody heard but by a panic.
    pub(crate) panics: u64,
    /// Known by heart: lost with the owner.
    schedule: JobQueue<Key>,
    held: BTreeMap<JobId, Held>,
    /// The last claim's moment, and how far the clock was set back in all.
    clock: (Timestamp, Duration),
}

impl Disk {
    pub(crate) fn new(flaw: Flaw) -> Self {
        Self {
            flaw,
            rows: BTreeMap::new(),
            places: HashMap::new(),
            keys: HashMap::new(),
            last: 0,
            token: 0,
            journal: Vec::new(),
            panics: 0,
            schedule: JobQueue::new(),
            held: BTreeMap::new(),
            clock: (Timestamp::default(), Duration::ZERO),
        }
    }

    /// A new owner: all leases are void, and what was running had a crash.
    pub(crate) fn reopen(&mut self) {
        self.journal.push(Durable::Reopened);
        self.schedule = JobQueue::new();
        self.held.clear();
        let flaw = self.flaw;
        let mut waiting = Vec::new();
        for (place, row) in &mut self.rows {
            for (n, job) in (0..).zip(&mut row.jobs) {
                if job.state == JobState::Running {
                    if flaw == Flaw::ForgetsRunning {
                        job.state = JobState::Done;
                        continue;
                    }
                    job.interrupted("crash", job.started);
                    if job.crashes >= 3 {
                        job.state = JobState::Dead;
                        job.reason = Some("poison".to_owned());
                    }
                    job.crashes += 1;
                }
                if job.state == JobState::Pending {
                    waiting.push((*place, n));
                }
            }
        }
        for key in waiting {
            self.line_up(key, Timestamp::default());
        }
    }

    pub(super) fn known(&self, delivery: &NewDelivery) -> Known {
        delivery.events.iter().map(|new| self.owner(new, delivery.dedupe_since)).collect()
    }

    fn owner(&self, new: &NewEvent, since: Timestamp) -> Option<(u64, KeyKind)> {
        new.keys.iter().find_map(|key| {
            let (place, at) = *self.keys.get(key)?;
            (at >= since).then_some((place, key.kind))
        })
    }

    /// What [`Self::accept`] would answer now.
    pub(super) fn peek(&self, delivery: &NewDelivery) -> Acceptance {
        let known: Vec<_> = self.known(delivery).into_iter().flatten().collect();
        self.answer(&known, known.len() < delivery.events.len())
    }

    fn answer(&self, known: &[(u64, KeyKind)], some_new: bool) -> Acceptance {
        let last = known.iter().max_by_key(|(place, _)| *place).filter(|_| !some_new);
        match last.and_then(|(place, by)| Some((self.rows.get(place)?, *by))) {
            Some((row, by)) => {
                Acceptance::Duplicate { answer: row.answer.clone(), of: row.event.id(), by }
            }
            None => Acceptance::Accepted { known: known.len() },
        }
    }

    /// `looked_up`: what was known before the commit, for the store that relies on that.
    pub(super) fn accept(
        &mut self,
        delivery: &NewDelivery,
        looked_up: Option<Known>,
    ) -> Acceptance {
        let mut known = Vec::new();
        let mut some_new = false;
        for (i, new) in delivery.events.iter().enumerate() {
            let owner = match &looked_up {
                Some(looked_up) => looked_up[i].filter(|(place, _)| self.rows.contains_key(place)),
                None => self.owner(new, delivery.dedupe_since),
            };
            let Some((place, by)) = owner else {
                self.keep(delivery, new);
                some_new = true;
                continue;
            };
            known.push((place, by));
            let row = self.rows.get_mut(&place).filter(|row| row.content_duplicates.len() < 100);
            if let Some(row) = row.filter(|_| by == KeyKind::Content) {
                let (event_id, received_at) = (new.event_id.clone(), delivery.received_at);
                row.content_duplicates.push(ContentDuplicate { event_id, received_at });
            }
        }
        self.answer(&known, some_new)
    }

    fn keep(&mut self, delivery: &NewDelivery, new: &NewEvent) {
        self.last += 1;
        let (place, at) = (self.last, delivery.received_at);
        for key in &new.keys {
            self.keys.insert(*key, (place, at));
        }
        let item = new.part.as_deref().and_then(|part| batch_item(&delivery.body, part));
        let event = Event::new(EventParts {
            id: new.id,
            source: delivery.source.clone(),
            event_type: new.event_type.clone(),
            event_id: new.event_id.clone(),
            received_at: at,
            headers: delivery.headers.clone(),
            body: item.unwrap_or_else(|| delivery.body.clone()),
        });
        let jobs = u32::try_from(new.jobs.len()).expect("few jobs");
        let (keys, since) = (new.keys.clone(), delivery.dedupe_since);
        let (body, answer) = (event.body().bytes().clone(), delivery.answer.clone());
        let event_id = new.id;
        self.journal.push(Durable::Accepted {
            event: event_id,
            body,
            at,
            since,
            keys,
            jobs,
            answer,
        });
        self.places.insert(new.id, place);
        let row = Row {
            event,
            otherwise: new.status.into(),
            notes: new.notes.clone(),
            answer: delivery.answer.clone(),
            keys: new.keys.clone(),
            content_duplicates: Vec::new(),
            jobs: new.jobs.iter().map(|job| JobRow::new(job, at)).collect(),
        };
        self.rows.insert(place, row);
        (0..jobs).for_each(|n| self.line_up((place, n), at));
    }

    fn line_up(&mut self, key: Key, now: Timestamp) {
        let keeps_order = self.flaw != Flaw::NoOrder;
        let Some(job) = self.job(key) else { return };
        let entry = QueuedJob {
            key,
            route: job.route.clone(),
            due: job.due,
            order_key: job.order_key.clone().filter(|_| keeps_order),
            suspect: job.crashes > 0,
        };
        self.schedule.push(entry, now);
    }

    pub(crate) fn job(&self, (place, n): Key) -> Option<&JobRow> {
        self.rows.get(&place)?.jobs.get(n as usize)
    }

    fn job_mut(&mut self, (place, n): Key) -> Option<&mut JobRow> {
        self.rows.get_mut(&place)?.jobs.get_mut(n as usize)
    }

    pub(super) fn claim(&mut self, want: &Claim) -> Vec<Job> {
        self.clock = (want.now, self.clock.1 + self.clock.0.since(want.now));
        let lost: Vec<_> = self
            .held
            .iter()
            .filter(|(_, h)| h.until <= want.now)
            .map(|(id, h)| (*id, *h))
            .collect();
        for (id, held) in lost {
            self.held.remove(&id);
            if let Some(job) = self.job_mut(held.key) {
                job.interrupted("lease", held.started);
                self.line_up(held.key, want.now);
            }
        }
        let taken = self.schedule.claim(want.now, &want.slots, want.unknown);
        taken.into_iter().filter_map(|entry| self.hand_out(entry.key, want)).collect()
    }

    fn hand_out(&mut self, key: Key, want: &Claim) -> Option<Job> {
        self.token += 1;
        let token = self.token;
        let event = self.rows.get(&key.0)?.event.clone();
        let job = self.job_mut(key)?;
        job.state = JobState::Running;
        job.attempt += 1;
        job.started = want.now;
        let id = JobId { event: event.id(), n: key.1 };
        let handed = Job {
            lease: Lease { job: id, token },
            event: match &job.body {
                Some(bytes) => event.with_body(Body::new(bytes.clone())),
                None => event,
            },
            route: job.route.clone(),
            step: job.step.clone(),
            attempt: job.attempt,
            crashes: job.crashes,
            replay: job.replay,
            config_hash: job.config_hash,
            cause: job.cause.clone(),
        };
        self.held.insert(id, Held { key, token, started: want.now, until: want.lease_until });
        let before = self.earlier(key);
        let early = self.job(key).is_some_and(|job| job.due > want.now.plus(self.clock.1));
        self.journal.push(Durable::HandedOut { lease: handed.lease, before, early });
        Some(handed)
    }

    /// Looked up in the rows, not in the schedule: it is what the schedule must not have missed.
    fn earlier(&self, key: Key) -> Option<JobId> {
        let job = self.job(key)?;
        let order = job.order_key.as_ref()?;
        let open = |state| matches!(state, JobState::Pending | JobState::Running);
        let same = |other: &JobRow| {
            other.route == job.route && other.order_key.as_ref() == Some(order) && open(other.state)
        };
        self.rows.range(..=key.0).find_map(|(place, row)| {
            let mut jobs = (0..).zip(&row.jobs);
            let (n, _) = jobs.find(|(n, other)| (*place, *n) < key && same(other))?;
            Some(JobId { event: row.event.id(), n })
        })
    }

    fn current(&self, lease: Lease) -> Option<Held> {
        let fenced = |held: &&Held| held.token == lease.token || self.flaw == Flaw::NoFencing;
        self.held.get(&lease.job).filter(fenced).copied()
    }

    /// Whether a run of this job with this attempt has the lease that counts.
    pub(crate) fn runs(&self, job: JobId, attempt: u32) -> bool {
        let row = self.held.get(&job).and_then(|held| self.job(held.key));
        row.is_some_and(|row| row.attempt == attempt)
    }

    pub(super) fn settle(&mut self, outcome: &JobOutcome) -> Settled {
        let Some(held) = self.current(outcome.lease) else { return Settled::Stale };
        self.held.remove(&outcome.lease.job);
        let Some(job) = self.job_mut(held.key) else { return Settled::Stale };
        let word = job.settled(outcome);
        self.journal.push(Durable::Settled { lease: outcome.lease, word });
        if self.job(held.key).is_some_and(|job| job.state == JobState::Pending) {
            self.line_up(held.key, held.started);
        } else {
            self.schedule.remove(held.key);
        }
        Settled::Applied
    }

    pub(super) fn extend(&mut self, lease: Lease, until: Timestamp) -> Settled {
        if self.current(lease).is_none() {
            return Settled::Stale;
        }
        if let Some(held) = self.held.get_mut(&lease.job) {
            held.until = until;
        }
        self.journal.push(Durable::Extended(lease));
        Settled::Applied
    }

    pub(super) fn replay(&mut self, now: Timestamp, replay: &ReplayJob) -> bool {
        let (id, key) = match replay {
            ReplayJob::Revive(id) => {
                let Some(place) = self.places.get(&id.event) else { return false };
                let key = (*place, id.n);
                if self.job(key).is_none_or(|job| job.state != JobState::Dead) {
                    return false;
                }
                (*id, key)
            }
            ReplayJob::Add { event, job } => {
                let Some(place) = self.places.get(event).copied() else { return false };
                let Some(row) = self.rows.get_mut(&place) else { return false };
                row.jobs.push(JobRow::new(job, now));
                let n = u32::try_from(row.jobs.len() - 1).expect("few jobs");
                (JobId { event: *event, n }, (place, n))
            }
        };
        if let Some(job) = self.job_mut(key) {
            job.replayed(now);
        }
        self.journal.push(Durable::Replayed(id));
        self.line_up(key, now);
        true
    }

    pub(super) fn purge(&mut self, what: Purge) -> u64 {
        let dead_before = what.dead_before.min(what.events_before);
        let before = |row: &Row| match row.jobs.iter().any(|job| job.state == JobState::Dead) {
            true => dead_before,
            false => what.events_before,
        };
        let past = |row: &Row| {
            let open = |s| matches!(s, JobState::Pending | JobState::Running);
            !row.jobs.iter().any(|job| open(job.state)) && row.event.received_at() < before(row)
        };
        let places: Vec<_> = self
            .rows
            .iter()
            .filter(|(_, row)| past(row))
            .map(|(at, _)| *at)
            .take(what.limit)
            .collect();
        for place in &places {
            let Some(row) = self.rows.remove(place) else { continue };
            let (event, received_at) = (row.event.id(), row.event.received_at());
            let before = before(&row);
            self.journal.push(Durable::Removed { event, received_at, before });
            self.places.remove(&event);
            for key in row.keys {
                if self.keys.get(&key).is_some_and(|(owner, _)| owner == place) {
                    self.keys.remove(&key);
                }
            }
        }
        places.len() as u64
    }

    pub(super) fn next_due(&self) -> Option<Timestamp> {
        let ends = self.held.values().map(|held| held.until).min();
        match (self.schedule.next_due(), ends) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// The oldest waiting job's event was received then.
    pub(super) fn oldest(&self) -> Option<Timestamp> {
        let waits = |row: &&Row| row.jobs.iter().any(|job| job.state == JobState::Pending);
        self.rows.values().find(waits).map(|row| row.event.received_at())
    }
}
