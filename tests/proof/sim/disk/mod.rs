//! The durable state of the simulated store, with the in-memory state of the process that owns it.
//! Each call is a transaction that is already committed; [`super::store`] decides whether and when
//! it happens.

mod jobs;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use hookward_core::store::{
    Acceptance, AttemptOutcome, ContentDuplicate, DedupeKey, DedupeKeyKind, JobId, JobQueue,
    JobState, NewDelivery, NewEvent, QueuedJob, RetentionState, batch_item,
};
use hookward_core::{Event, EventId, EventParts, Timestamp};
use hookward_engine::STORE_POLICY;

use super::journal::JournalEntry;
use super::real_store::RealStore;
use super::rows::{EventRow, JobRow};

/// A defect of the simulated store, each of which is a canary that the invariants must find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flaw {
    None,
    /// `accept` answers before the commit.
    AckEarly,
    /// Any lease of a job counts as its current one.
    NoFencing,
    /// Dedupe keys are looked up before the commit, and not again inside it.
    DedupeOutside,
    /// Order keys are ignored.
    NoOrder,
    /// Opening after a crash takes running jobs for done.
    ForgetsRunning,
}

/// Position of an event in the order of acceptance, and number of its job.
pub(crate) type Key = (u64, u32);

/// The lease of a running job.
#[derive(Debug, Clone, Copy)]
struct ActiveLease {
    key: Key,
    token: u64,
    started: Timestamp,
    until: Timestamp,
}

/// For each event of a delivery, the stored event that has one of its dedupe keys.
pub(crate) type DedupeOwners = Vec<Option<(u64, DedupeKeyKind)>>;

/// State of the simulated store, which outlives its processes.
#[derive(Debug)]
pub(crate) struct Disk {
    pub(crate) flaw: Flaw,
    /// Events by position.
    pub(crate) rows: BTreeMap<u64, EventRow>,
    pub(crate) positions: HashMap<EventId, u64>,
    keys: HashMap<DedupeKey, (u64, Timestamp)>,
    pub(crate) retention_state: Option<RetentionState>,
    /// The real store that takes the same calls, in some runs.
    pub(crate) real: Option<RealStore>,
    last_position: u64,
    last_token: u64,
    pub(crate) journal: Vec<JournalEntry>,
    /// Commits whose callers panicked.
    pub(crate) panics: u64,
    /// In-memory state, lost with the process.
    queue: JobQueue<Key>,
    leases: BTreeMap<JobId, ActiveLease>,
    /// Time of the last claim, and the sum of all steps by which the clock was set back.
    clock: (Timestamp, Duration),
}

impl Disk {
    pub(crate) fn new(flaw: Flaw) -> Self {
        Self {
            flaw,
            rows: BTreeMap::new(),
            positions: HashMap::new(),
            keys: HashMap::new(),
            retention_state: None,
            real: None,
            last_position: 0,
            last_token: 0,
            journal: Vec::new(),
            panics: 0,
            queue: JobQueue::new(),
            leases: BTreeMap::new(),
            clock: (Timestamp::default(), Duration::ZERO),
        }
    }

    /// Opens the store in a new process: all leases are void, and running jobs count as crashed.
    pub(crate) fn reopen(&mut self) {
        let now = self.clock.0.max(super::world::START);
        if let Some(real) = &mut self.real {
            real.reopen(now);
        }
        self.journal.push(JournalEntry::Reopened);
        self.queue = JobQueue::new();
        self.leases.clear();
        let flaw = self.flaw;
        let mut pending = Vec::new();
        for (position, row) in &mut self.rows {
            for (n, job) in (0..).zip(&mut row.jobs) {
                if job.state == JobState::Running {
                    if flaw == Flaw::ForgetsRunning {
                        job.state = JobState::Done;
                        continue;
                    }
                    job.interrupt(AttemptOutcome::Crash, job.started);
                    if job.crashes >= STORE_POLICY.crash_limit {
                        job.state = JobState::Dead;
                        job.reason = Some("poison".to_owned());
                    }
                    job.crashes += 1;
                }
                if job.state == JobState::Pending {
                    pending.push((*position, n));
                }
            }
        }
        for key in pending {
            self.enqueue(key);
        }
    }

    pub(crate) fn dedupe_owners(&self, delivery: &NewDelivery) -> DedupeOwners {
        delivery.events.iter().map(|new| self.dedupe_owner(new, delivery.dedupe_since)).collect()
    }

    fn dedupe_owner(&self, new: &NewEvent, since: Timestamp) -> Option<(u64, DedupeKeyKind)> {
        let id_owner = id_key(new).and_then(|key| self.key_owner(&key, since));
        let of = |position, kind| match id_owner == Some(position) {
            true => (position, DedupeKeyKind::Id),
            false => (position, kind),
        };
        let by_key = new.keys.iter().find_map(|key| Some((self.key_owner(key, since)?, key.kind)));
        if let Some((position, kind)) = by_key {
            return Some(of(position, kind));
        }
        let mut owners = Vec::new();
        for key in variant_keys(new) {
            owners.push(self.key_owner(&key, since)?);
        }
        let confirmed = owners.iter().find(|owner| id_owner == Some(**owner));
        confirmed.or(owners.first()).map(|owner| of(*owner, DedupeKeyKind::Content))
    }

    fn key_owner(&self, key: &DedupeKey, since: Timestamp) -> Option<u64> {
        let (position, at) = *self.keys.get(key)?;
        (at >= since).then_some(position)
    }

    /// Returns what [`Self::accept`] would answer now, without storing anything.
    pub(crate) fn peek(&self, delivery: &NewDelivery) -> Acceptance {
        let known: Vec<_> = self.dedupe_owners(delivery).into_iter().flatten().collect();
        self.acceptance(&known, known.len() < delivery.events.len())
    }

    fn acceptance(&self, known: &[(u64, DedupeKeyKind)], some_new: bool) -> Acceptance {
        let last = known.iter().max_by_key(|(position, _)| *position).filter(|_| !some_new);
        match last.and_then(|(position, by)| Some((self.rows.get(position)?, *by))) {
            Some((row, by)) => {
                Acceptance::Duplicate { answer: row.answer.clone(), of: row.event.id(), by }
            }
            None => Acceptance::Accepted { known: known.len() },
        }
    }

    /// Stores the events whose dedupe keys are new. `looked_up` are the owners found before the
    /// commit, for [`Flaw::DedupeOutside`].
    pub(crate) fn accept(
        &mut self,
        delivery: &NewDelivery,
        looked_up: Option<DedupeOwners>,
    ) -> Acceptance {
        let mut known = Vec::new();
        let mut some_new = false;
        for (i, new) in delivery.events.iter().enumerate() {
            let owner = match &looked_up {
                Some(looked_up) => {
                    looked_up[i].filter(|(position, _)| self.rows.contains_key(position))
                }
                None => self.dedupe_owner(new, delivery.dedupe_since),
            };
            let Some((position, by)) = owner else {
                self.insert_event(delivery, new);
                some_new = true;
                continue;
            };
            known.push((position, by));
            let limit = STORE_POLICY.max_content_duplicates as usize;
            let row = self.rows.get_mut(&position);
            let row = row.filter(|row| row.content_duplicates.len() < limit);
            if let Some(row) = row.filter(|_| by == DedupeKeyKind::Content) {
                let (event_id, received_at) = (new.event_id.clone(), delivery.received_at);
                row.content_duplicates.push(ContentDuplicate::new(event_id, received_at));
            }
        }
        self.acceptance(&known, some_new)
    }

    fn insert_event(&mut self, delivery: &NewDelivery, new: &NewEvent) {
        self.last_position += 1;
        let (position, at) = (self.last_position, delivery.received_at);
        let since = delivery.dedupe_since;
        let variant = variant_keys(new).find(|key| self.key_owner(key, since).is_none());
        // The journal has the keys that only one event may own; an unsigned id is none of them.
        let keys: Vec<_> = new.keys.iter().copied().chain(variant).collect();
        let claimed: Vec<_> = keys.iter().copied().chain(id_key(new)).collect();
        for key in &claimed {
            self.keys.insert(*key, (position, at));
        }
        let item = new.item_pointer.as_deref().and_then(|part| batch_item(&delivery.body, part));
        let event = Event::new(
            EventParts::new(
                new.id,
                delivery.source.clone(),
                at,
                item.unwrap_or_else(|| delivery.body.clone()),
            )
            .with_event_type(new.event_type.clone())
            .with_event_id(new.event_id.clone())
            .with_headers(delivery.headers.clone()),
        );
        let jobs = u32::try_from(new.jobs.len()).expect("few jobs");
        let (body, answer) = (event.body().bytes().clone(), delivery.answer.clone());
        let event_id = new.id;
        self.journal.push(JournalEntry::Accepted {
            event: event_id,
            body,
            at,
            since,
            keys,
            jobs,
            answer,
        });
        self.positions.insert(new.id, position);
        let row = EventRow {
            event,
            status_without_jobs: new.status.into(),
            notes: new.notes.clone(),
            answer: delivery.answer.clone(),
            keys: claimed,
            content_duplicates: Vec::new(),
            jobs: new.jobs.iter().map(|job| JobRow::new(job, delivery.due)).collect(),
        };
        self.rows.insert(position, row);
        (0..jobs).for_each(|n| self.enqueue((position, n)));
    }

    fn enqueue(&mut self, key: Key) {
        let has_order = self.flaw != Flaw::NoOrder;
        let Some(job) = self.job(key) else { return };
        let entry = QueuedJob::new(key, job.route.clone(), job.due)
            .with_order_key(job.order_key.clone().filter(|_| has_order))
            .with_crash_suspect(job.crashes > 0);
        self.queue.push(entry);
    }

    pub(crate) fn job(&self, (position, n): Key) -> Option<&JobRow> {
        self.rows.get(&position)?.jobs.get(n as usize)
    }

    fn job_mut(&mut self, (position, n): Key) -> Option<&mut JobRow> {
        self.rows.get_mut(&position)?.jobs.get_mut(n as usize)
    }
}

fn variant_keys(new: &NewEvent) -> impl Iterator<Item = DedupeKey> + '_ {
    new.variant_keys.iter().map(|hash| DedupeKey::new(DedupeKeyKind::Content, *hash))
}

fn id_key(new: &NewEvent) -> Option<DedupeKey> {
    let id = new.unsigned_id.as_ref()?;
    Some(DedupeKey::new(DedupeKeyKind::Id, id.hash))
}
