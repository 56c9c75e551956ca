//! What the writer knows by heart: the schedule, the leases, the bodies of fresh jobs, and how
//! much of the table of open jobs is in the schedule. It changes only after the commit of what it
//! follows from; a claim is the exception, and is taken back when its group fails.
//!
//! A route has at most [`ROUTE_CAP`] jobs in the schedule. Later ones stay in the table and are
//! read, in the order of acceptance, once half of those are done; so an order key never sees a
//! later job before an earlier one. What this costs: a route whose first 100,000 jobs all wait for
//! their next attempt makes its newer ones wait too. Other routes do not notice. Only replayed
//! jobs of such a route may be overtaken by newer ones.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use hookward_core::store::{JobId, JobQueue, QueuedJob};
use hookward_core::{Event, Timestamp};

use crate::leases::Leases;

/// A job's place: its event's `seq`, and its number.
pub(crate) type Key = (i64, u32);

/// So many jobs of one route are in the schedule.
const ROUTE_CAP: usize = 100_000;

/// Bodies of fresh jobs are kept up to this many bytes, by [`memory_size`].
const FRESH_CAP: usize = 32 * 1024 * 1024;

/// A job that was just taken in and never claimed: nothing about it needs to be read.
#[derive(Debug, Clone)]
pub(crate) struct CachedJob {
    pub(crate) event: Event,
    pub(crate) config_hash: u64,
}

/// Per route: open and dead jobs. Shared with those who ask for the depth.
pub(crate) type Counts = Arc<Mutex<BTreeMap<Arc<str>, (u64, u64)>>>;

/// What the memory learns from a commit.
#[derive(Debug)]
pub(crate) enum CacheUpdate {
    /// A job is there that was not.
    New(QueuedJob<Key>, Option<CachedJob>),
    /// A dead job waits again.
    Revived(QueuedJob<Key>),
    /// A leased job waits again.
    Back(JobId, QueuedJob<Key>),
    /// A leased job has ended; `dead` if in the dead letters.
    Ended { job: JobId, dead: bool },
    /// An event with a dead job of this route was removed.
    Buried(Arc<str>),
}

#[derive(Debug)]
pub(crate) struct Queue {
    /// [`ROUTE_CAP`], except in tests.
    pub(crate) cap: usize,
    pub(crate) schedule: JobQueue<Key>,
    pub(crate) held: Leases,
    /// With what each counts for.
    fresh: HashMap<Key, (CachedJob, usize)>,
    fresh_bytes: usize,
    /// Per route, where some are only in the table: from this key on.
    unread: BTreeMap<Arc<str>, Key>,
    pub(crate) counts: Counts,
}

impl Default for Queue {
    fn default() -> Self {
        Self {
            cap: ROUTE_CAP,
            schedule: JobQueue::new(),
            held: Leases::default(),
            fresh: HashMap::new(),
            fresh_bytes: 0,
            unread: BTreeMap::new(),
            counts: Counts::default(),
        }
    }
}

impl Queue {
    pub(crate) fn apply(&mut self, effect: CacheUpdate) {
        match effect {
            CacheUpdate::New(entry, fresh) => {
                self.count(&entry.route, 1, 0);
                if self.admit(entry.clone())
                    && let Some(fresh) = fresh
                    && let memory_size = memory_size(&fresh)
                    && self.fresh_bytes + memory_size <= FRESH_CAP
                {
                    self.fresh_bytes += memory_size;
                    self.fresh.insert(entry.key, (fresh, memory_size));
                }
            }
            CacheUpdate::Revived(entry) => {
                self.count(&entry.route, 1, -1);
                self.admit(entry);
            }
            CacheUpdate::Back(job, entry) => {
                self.held.remove(&job);
                self.schedule.push(entry, Timestamp::default());
            }
            CacheUpdate::Ended { job, dead } => {
                let Some(held) = self.held.remove(&job) else { return };
                self.schedule.remove(held.entry.key);
                self.count(&held.entry.route, -1, i64::from(dead));
            }
            CacheUpdate::Buried(route) => self.count(&route, 0, -1),
        }
    }

    /// Puts a job into the schedule, unless its route has enough there.
    fn admit(&mut self, entry: QueuedJob<Key>) -> bool {
        let unread = self.unread.get(&entry.route).copied();
        if unread.is_some_and(|from| entry.key >= from) {
            return false;
        }
        if self.schedule.open(&entry.route) >= self.cap {
            self.unread.insert(entry.route, entry.key);
            return false;
        }
        let due = entry.due;
        self.schedule.push(entry, due);
        true
    }

    /// A route of which jobs should be read from the table, and from where on.
    pub(crate) fn needs_refill(&self) -> Option<(Arc<str>, Key)> {
        let half_empty = |route: &str| self.schedule.open(route) <= self.cap / 2;
        let mut unread = self.unread.iter().filter(|(route, _)| half_empty(route));
        unread.next().map(|(route, from)| (route.clone(), *from))
    }

    /// Jobs of a route were read; those after `to` are still only in the table.
    pub(crate) fn refilled(&mut self, route: Arc<str>, jobs: Vec<QueuedJob<Key>>, to: Option<Key>) {
        for entry in jobs {
            if !self.schedule.contains(entry.key) {
                self.schedule.push(entry, Timestamp::default());
            }
        }
        match to {
            Some(from) => self.unread.insert(route, from),
            None => self.unread.remove(&route),
        };
    }

    /// The fresh job at `key`, which from now on is fresh no more.
    pub(crate) fn take_fresh(&mut self, key: Key) -> Option<CachedJob> {
        let (fresh, memory_size) = self.fresh.remove(&key)?;
        self.fresh_bytes = self.fresh_bytes.saturating_sub(memory_size);
        Some(fresh)
    }

    /// A claim was not committed.
    pub(crate) fn unclaim(&mut self, job: JobId) {
        if let Some(held) = self.held.remove(&job) {
            self.schedule.push(held.entry, Timestamp::default());
        }
    }

    pub(crate) fn count(&self, route: &Arc<str>, open: i64, dead: i64) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if !counts.contains_key(route) {
            counts.insert(route.clone(), (0, 0));
        }
        if let Some((is_open, is_dead)) = counts.get_mut(route) {
            *is_open = is_open.saturating_add_signed(open);
            *is_dead = is_dead.saturating_add_signed(dead);
        }
    }
}

/// What a fresh job costs to keep. Events of several jobs are counted several times, which errs on the
/// safe side.
fn memory_size(fresh: &CachedJob) -> usize {
    1024 + fresh.event.body().memory_size()
}
