//! The contents of the memory store, and how events enter and leave it. Everything here runs under
//! the store's one lock, so each call is atomic.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use hookward_core::store::{
    Acceptance, ContentDuplicate, DedupeKeyKind, JobId, JobQueue, JobState, NewDelivery, NewEvent,
    PurgeRequest, QueueDepth, QueuedJob, RetentionState, RouteDepth, StorePolicy, batch_item,
};
use hookward_core::{Event, EventId, EventParts, Timestamp};

use super::rows::{ActiveLease, EventRow, JobKey, JobRow, KeyHash};

/// What a new event owns from now on.
struct KeyClaims {
    hashes: Vec<KeyHash>,
    /// Whether another event had the same unsigned id within the window.
    reuses_id: bool,
}

/// Events, their dedupe keys and their jobs.
#[derive(Debug)]
pub(super) struct MemoryState {
    policy: StorePolicy,
    /// Events by sequence number, which counts up in the order of acceptance.
    pub(super) events: BTreeMap<u64, EventRow>,
    pub(super) sequence_by_id: HashMap<EventId, u64>,
    /// The event that owns each dedupe key, and when it was received.
    key_owners: HashMap<KeyHash, (u64, Timestamp)>,
    /// The keys whose owner was purged.
    purged_keys: HashSet<KeyHash>,
    pub(super) queue: JobQueue<JobKey>,
    pub(super) leases: HashMap<JobId, ActiveLease>,
    /// Pending and running jobs, the oldest first.
    pub(super) unfinished: BTreeSet<JobKey>,
    last_sequence: u64,
    pub(super) last_token: u64,
    pub(super) retention_state: Option<RetentionState>,
}

impl MemoryState {
    /// An empty state.
    pub(super) fn new(policy: StorePolicy) -> Self {
        Self {
            policy,
            events: BTreeMap::new(),
            sequence_by_id: HashMap::new(),
            key_owners: HashMap::new(),
            purged_keys: HashSet::new(),
            queue: JobQueue::new(),
            leases: HashMap::new(),
            unfinished: BTreeSet::new(),
            last_sequence: 0,
            last_token: 0,
            retention_state: None,
        }
    }

    pub(super) fn accept(&mut self, delivery: NewDelivery) -> Acceptance {
        let mut known = Vec::new();
        let mut inserted = 0;
        for event in &delivery.events {
            match self.look_up_keys(event, delivery.dedupe_since) {
                Ok(claims) => {
                    inserted += 1;
                    self.insert(&delivery, event, claims);
                }
                Err((sequence, by)) => {
                    if by == DedupeKeyKind::Content {
                        self.record_content_duplicate(sequence, event, delivery.received_at);
                    }
                    known.push((sequence, by));
                }
            }
        }
        // Where nothing is new, the answer is that of the event accepted last: if this batch was
        // accepted before, when some of its events were already known, that event came with it and
        // carries the answer that the batch got.
        match known.iter().max_by_key(|(sequence, _)| *sequence).filter(|_| inserted == 0) {
            None => Acceptance::Accepted { known: known.len() },
            Some((sequence, by)) => match self.events.get(sequence) {
                Some(row) => {
                    let (answer, of) = (row.answer.clone(), row.event.id());
                    Acceptance::Duplicate { answer, of, by: *by }
                }
                None => Acceptance::DuplicateOfPurged { by: *by },
            },
        }
    }

    /// What a new event claims, or the event that it repeats.
    fn look_up_keys(
        &self,
        event: &NewEvent,
        since: Timestamp,
    ) -> Result<KeyClaims, (u64, DedupeKeyKind)> {
        let owner = |hash: &KeyHash| {
            self.key_owners.get(hash).filter(|(_, at)| *at >= since).map(|(sequence, _)| *sequence)
        };
        let confirming = event.unsigned_id.as_ref().and_then(|id| owner(&id.hash));
        for key in &event.keys {
            if let Some(sequence) = owner(&key.hash) {
                let is_confirmed = confirming == Some(sequence);
                return Err((sequence, if is_confirmed { DedupeKeyKind::Id } else { key.kind }));
            }
        }
        let mut hashes: Vec<_> = event.keys.iter().map(|key| key.hash).collect();
        let (mut first, mut claimed) = (None, None);
        for hash in &event.variant_keys {
            match owner(hash) {
                // The bytes are the same, and the id confirms it: a repetition whatever its type.
                Some(sequence) if confirming == Some(sequence) => {
                    return Err((sequence, DedupeKeyKind::Id));
                }
                Some(sequence) => first = first.or(Some(sequence)),
                None => {
                    claimed = Some(*hash);
                    break;
                }
            }
        }
        match (claimed, first) {
            (None, Some(first)) => return Err((first, DedupeKeyKind::Content)),
            (claimed, _) => hashes.extend(claimed),
        }
        hashes.extend(event.unsigned_id.as_ref().map(|id| id.hash));
        Ok(KeyClaims { hashes, reuses_id: confirming.is_some() })
    }

    fn record_content_duplicate(
        &mut self,
        sequence: u64,
        event: &NewEvent,
        received_at: Timestamp,
    ) {
        let limit = usize::try_from(self.policy.max_content_duplicates).unwrap_or(usize::MAX);
        let owner = self.events.get_mut(&sequence);
        let duplicates = owner.map(|row| &mut row.content_duplicates);
        if let Some(list) = duplicates.filter(|list| list.len() < limit) {
            list.push(ContentDuplicate::new(event.event_id.clone(), received_at));
        }
    }

    /// Stores a new event, claims its dedupe keys and queues its jobs.
    fn insert(&mut self, delivery: &NewDelivery, new: &NewEvent, claims: KeyClaims) {
        self.last_sequence += 1;
        let sequence = self.last_sequence;
        for hash in &claims.hashes {
            self.key_owners.insert(*hash, (sequence, delivery.received_at));
        }
        let id_note = new.unsigned_id.as_ref().filter(|_| claims.reuses_id);
        let id_note = id_note.map(|id| id.note.clone());
        let item = new.item_pointer.as_deref().and_then(|part| batch_item(&delivery.body, part));
        let event = Event::new(
            EventParts::new(
                new.id,
                delivery.source.clone(),
                delivery.received_at,
                item.unwrap_or_else(|| delivery.body.clone()),
            )
            .with_event_type(new.event_type.clone())
            .with_event_id(new.event_id.clone())
            .with_headers(delivery.headers.clone()),
        );
        let due = delivery.due;
        let jobs: Vec<_> = new.jobs.iter().cloned().map(|job| JobRow::new(job, due)).collect();
        for (n, job) in (0..).zip(&jobs) {
            self.enqueue((sequence, n), queued_job((sequence, n), job, due));
        }
        self.sequence_by_id.insert(new.id, sequence);
        let row = EventRow {
            event,
            status_without_jobs: new.status.into(),
            notes: new.notes.iter().cloned().chain(id_note).collect(),
            answer: delivery.answer.clone(),
            keys: claims.hashes,
            content_duplicates: Vec::new(),
            jobs,
        };
        self.events.insert(sequence, row);
    }

    /// Queues a stored job that the caller has just made pending.
    pub(super) fn requeue(&mut self, key: JobKey, due: Timestamp) {
        let Some(job) = self.job_mut(key) else { return };
        let queued = queued_job(key, job, due);
        self.enqueue(key, queued);
    }

    fn enqueue(&mut self, key: JobKey, queued: QueuedJob<JobKey>) {
        self.unfinished.insert(key);
        self.queue.push(queued);
    }

    pub(super) fn job_mut(&mut self, (sequence, n): JobKey) -> Option<&mut JobRow> {
        self.events.get_mut(&sequence)?.jobs.get_mut(usize::try_from(n).ok()?)
    }

    /// Removes finished events past their retention, and returns their number.
    pub(super) fn purge(&mut self, purge: &PurgeRequest) -> u64 {
        let dead_before = purge.dead_before.min(purge.events_before);
        let is_expired = |row: &EventRow| {
            let counts = row.job_counts();
            let before = if counts.dead > 0 { dead_before } else { purge.events_before };
            counts.pending == 0 && row.event.received_at() < before
        };
        let expired: Vec<u64> = self
            .events
            .iter()
            .filter(|(_, row)| is_expired(row))
            .map(|(sequence, _)| *sequence)
            .take(purge.limit)
            .collect();
        for sequence in &expired {
            let Some(row) = self.events.remove(sequence) else { continue };
            self.sequence_by_id.remove(&row.event.id());
            let mut keep =
                purge.keep_keys.iter().filter(|keep| *keep.source == *row.event.source());
            let is_kept = keep.any(|keep| keep.since <= row.event.received_at());
            for key in row.keys {
                if is_kept {
                    self.purged_keys.insert(key);
                    continue;
                }
                // After the dedupe window, a later event may have claimed the same key.
                if self.key_owners.get(&key).is_some_and(|(owner, _)| owner == sequence) {
                    self.key_owners.remove(&key);
                }
            }
        }
        self.remove_kept_keys(purge);
        expired.len() as u64
    }

    /// Removes the keys of purged events that count for no source any more, and forgets that a key
    /// was kept where a later event owns it.
    fn remove_kept_keys(&mut self, purge: &PurgeRequest) {
        let earliest = purge.keep_keys.iter().map(|keep| keep.since).min();
        let Self { purged_keys, key_owners, events, .. } = self;
        purged_keys.retain(|key| {
            let Some((sequence, at)) = key_owners.get(key) else { return false };
            if events.contains_key(sequence) {
                return false;
            }
            let is_kept = earliest.is_some_and(|earliest| *at >= earliest);
            if !is_kept {
                key_owners.remove(key);
            }
            is_kept
        });
    }

    /// When the next job becomes claimable: it is due, or its lease expires.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        let lease_expires = self.leases.values().map(|lease| lease.until).min();
        match (self.queue.next_due(), lease_expires) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    pub(super) fn depth(&self) -> QueueDepth {
        let mut routes: BTreeMap<Arc<str>, RouteDepth> = BTreeMap::new();
        for job in self.events.values().flat_map(|row| &row.jobs) {
            let (open, dead) = match job.state {
                JobState::Pending | JobState::Running => (1, 0),
                JobState::Dead => (0, 1),
                JobState::Done | JobState::Unrouted => continue,
            };
            let route = job.route.clone();
            let depth = routes.entry(route.clone()).or_insert(RouteDepth::new(route, 0, 0));
            depth.open += open;
            depth.dead += dead;
        }
        let is_waiting = |key: &&JobKey| !self.queue.is_claimed(**key);
        let oldest = self.unfinished.iter().find(is_waiting);
        let oldest = oldest.and_then(|(sequence, _)| self.events.get(sequence));
        QueueDepth::new(routes.into_values().collect(), oldest.map(|row| row.event.received_at()))
    }
}

/// The queue's entry for a job. It is never a crash suspect: a crash of the process also ends this
/// store, so no job of it survives one.
fn queued_job(key: JobKey, job: &JobRow, due: Timestamp) -> QueuedJob<JobKey> {
    let (route, order_key) = (job.route.clone(), job.order_key.clone());
    QueuedJob::new(key, route, due).with_order_key(order_key)
}
