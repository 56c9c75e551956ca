//! What the memory store holds, and the taking in and removing of events. Everything here happens
//! under the store's one lock, so each call is atomic by itself.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use hookward_core::store::{
    Acceptance, ContentDuplicate, DedupeKey, Depth, JobId, JobQueue, JobState, KeyKind,
    NewDelivery, NewEvent, Purge, QueuedJob, RouteDepth, batch_item,
};
use hookward_core::{Event, EventId, EventParts, Timestamp};

use super::lease::Held;
use super::rows::{Kept, KeptJob};

/// A job's place: the number of its event in the order of acceptance, and its own.
pub(super) type Key = (u64, u32);

/// So many deliveries with the same bytes are listed with an event.
const MAX_CONTENT_DUPLICATES: usize = 100;

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) events: BTreeMap<u64, Kept>,
    pub(super) places: HashMap<EventId, u64>,
    claimed: HashMap<DedupeKey, (u64, Timestamp)>,
    pub(super) schedule: JobQueue<Key>,
    pub(super) held: HashMap<JobId, Held>,
    /// CommitPermits and running jobs, the oldest first.
    pub(super) open: BTreeSet<Key>,
    last: u64,
    pub(super) token: u64,
}

impl State {
    pub(super) fn accept(&mut self, delivery: NewDelivery) -> Acceptance {
        let mut known = Vec::new();
        let mut taken = 0;
        for event in &delivery.events {
            match self.owner(event, delivery.dedupe_since) {
                None => {
                    taken += 1;
                    self.keep(&delivery, event);
                }
                Some((place, by)) => {
                    if by == KeyKind::Content {
                        self.twin(place, event, delivery.received_at);
                    }
                    known.push((place, by));
                }
            }
        }
        // Taken in last: if this batch was accepted before, with events that were known even then, that
        // one came with it, and with the answer that it got.
        let last = known.iter().max_by_key(|(place, _)| *place).filter(|_| taken == 0);
        match last.and_then(|(place, by)| Some((self.events.get(place)?, *by))) {
            Some((of, by)) => {
                Acceptance::Duplicate { answer: of.answer.clone(), of: of.event.id(), by }
            }
            None => Acceptance::Accepted { known: known.len() },
        }
    }

    /// Whose event this is a repetition of.
    fn owner(&self, event: &NewEvent, since: Timestamp) -> Option<(u64, KeyKind)> {
        let taken = |key: &DedupeKey| {
            let (place, at) = *self.claimed.get(key)?;
            (at >= since && self.events.contains_key(&place)).then_some((place, key.kind))
        };
        event.keys.iter().find_map(taken)
    }

    fn twin(&mut self, place: u64, event: &NewEvent, received_at: Timestamp) {
        if let Some(kept) = self
            .events
            .get_mut(&place)
            .filter(|k| k.content_duplicates.len() < MAX_CONTENT_DUPLICATES)
        {
            kept.content_duplicates
                .push(ContentDuplicate { event_id: event.event_id.clone(), received_at });
        }
    }

    fn keep(&mut self, delivery: &NewDelivery, new: &NewEvent) {
        self.last += 1;
        let place = self.last;
        for key in &new.keys {
            self.claimed.insert(*key, (place, delivery.received_at));
        }
        let item = new.part.as_deref().and_then(|part| batch_item(&delivery.body, part));
        let event = Event::new(EventParts {
            id: new.id,
            source: delivery.source.clone(),
            event_type: new.event_type.clone(),
            event_id: new.event_id.clone(),
            received_at: delivery.received_at,
            headers: delivery.headers.clone(),
            body: item.unwrap_or_else(|| delivery.body.clone()),
        });
        let due = delivery.received_at;
        let jobs: Vec<_> = new.jobs.iter().cloned().map(|job| KeptJob::new(job, due)).collect();
        for (n, job) in (0..).zip(&jobs) {
            self.line_up((place, n), job, due);
        }
        self.places.insert(new.id, place);
        let kept = Kept {
            event,
            otherwise: new.status.into(),
            notes: new.notes.clone(),
            answer: delivery.answer.clone(),
            keys: new.keys.clone(),
            content_duplicates: Vec::new(),
            jobs,
        };
        self.events.insert(place, kept);
    }

    /// Nobody died here and left a job behind, so there are no suspects.
    fn line_up(&mut self, key: Key, job: &KeptJob, now: Timestamp) {
        let (route, order_key) = (job.route.clone(), job.order_key.clone());
        self.open.insert(key);
        self.schedule.push(QueuedJob { key, route, due: job.due, order_key, suspect: false }, now);
    }

    /// Adds or revives a job; the caller has changed it already.
    pub(super) fn line_up_again(&mut self, key: Key, due: Timestamp) {
        let Some(job) = self.job_mut(key) else { return };
        let (route, order_key) = (job.route.clone(), job.order_key.clone());
        self.open.insert(key);
        self.schedule.push(QueuedJob { key, route, due, order_key, suspect: false }, due);
    }

    pub(super) fn job_mut(&mut self, (place, n): Key) -> Option<&mut KeptJob> {
        self.events.get_mut(&place)?.jobs.get_mut(usize::try_from(n).ok()?)
    }

    pub(super) fn purge(&mut self, what: Purge) -> u64 {
        let dead_before = what.dead_before.min(what.events_before);
        let past = |kept: &Kept| {
            let counts = kept.counts();
            let before = if counts.dead > 0 { dead_before } else { what.events_before };
            counts.pending == 0 && kept.event.received_at() < before
        };
        let places: Vec<u64> = self
            .events
            .iter()
            .filter(|(_, kept)| past(kept))
            .map(|(place, _)| *place)
            .take(what.limit)
            .collect();
        for place in &places {
            let Some(kept) = self.events.remove(place) else { continue };
            self.places.remove(&kept.event.id());
            for key in kept.keys {
                // Past its window, a key may belong to a later event by now.
                if self.claimed.get(&key).is_some_and(|(owner, _)| owner == place) {
                    self.claimed.remove(&key);
                }
            }
        }
        places.len() as u64
    }

    pub(super) fn next_due(&self) -> Option<Timestamp> {
        let lost = self.held.values().map(|held| held.until).min();
        match (self.schedule.next_due(), lost) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    pub(super) fn depth(&self) -> Depth {
        let mut routes: BTreeMap<Arc<str>, RouteDepth> = BTreeMap::new();
        for job in self.events.values().flat_map(|kept| &kept.jobs) {
            let (open, dead) = match job.state {
                JobState::Pending | JobState::Running => (1, 0),
                JobState::Dead => (0, 1),
                JobState::Done | JobState::Unrouted => continue,
            };
            let route = job.route.clone();
            let depth =
                routes.entry(route.clone()).or_insert(RouteDepth { route, open: 0, dead: 0 });
            depth.open += open;
            depth.dead += dead;
        }
        let waits = |key: &&Key| !self.schedule.is_out(**key);
        let oldest = self.open.iter().find(waits).and_then(|(place, _)| self.events.get(place));
        Depth {
            routes: routes.into_values().collect(),
            oldest: oldest.map(|kept| kept.event.received_at()),
        }
    }
}
