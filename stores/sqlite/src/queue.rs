//! Jobs in memory: the queue of ready and waiting jobs, the leases, the bodies of new jobs, and
//! per route how far the table of open jobs is in the queue. Owned by `memory.rs`, which changes it
//! only after the commit that the change follows from. Claims are the exception: they take jobs
//! immediately, and a batch that is rolled back returns them.
//!
//! At most [`MAX_QUEUED_JOBS_PER_ROUTE`] jobs of a route are in the queue. Later ones stay in the
//! table and are read in the order of acceptance once half of the queued ones are done, so an order
//! key never sees a later job before an earlier one. The cost: a route whose first 100,000 jobs all
//! wait for their next attempt delays its newer jobs. Other routes are not affected. Only replayed
//! jobs of such a route may be overtaken by newer ones.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use hookward_core::store::{ClaimRequest, JobId, JobQueue, QueuedJob};
use hookward_core::{Event, Timestamp};

use crate::leases::Leases;
use crate::rows::JobKey;

/// Jobs of one route in the queue; later ones are only in the table.
const MAX_QUEUED_JOBS_PER_ROUTE: usize = 100_000;

/// Memory for the bodies of new jobs, counted by [`memory_size`].
const MAX_CACHED_JOB_BYTES: usize = 32 * 1024 * 1024;

/// Estimated memory of a cached job beside its body.
const CACHED_JOB_OVERHEAD_BYTES: usize = 1024;

/// Per route: open and dead jobs. Shared with the callers of `Store::depth`.
pub(crate) type Counts = Arc<Mutex<BTreeMap<Arc<str>, (u64, u64)>>>;

/// One change of the memory that follows from a commit.
#[derive(Debug)]
pub(crate) enum CacheUpdate {
    /// A new job waits, with its body if it may be cached.
    Added(QueuedJob<JobKey>, Option<Event>),
    /// A dead job waits again.
    Revived(QueuedJob<JobKey>),
    /// A leased job waits again.
    Requeued(JobId, QueuedJob<JobKey>),
    /// A leased job has ended; `dead` if it is a dead letter now.
    Ended { job: JobId, dead: bool },
    /// A dead job of this route was removed with its event.
    DeadRemoved(Arc<str>),
}

#[derive(Debug)]
pub(crate) struct Queue {
    /// Is [`MAX_QUEUED_JOBS_PER_ROUTE`], except in tests.
    max_per_route: usize,
    jobs: JobQueue<JobKey>,
    leases: Leases,
    /// Events of jobs that this process accepted and nobody has claimed yet, with the
    /// [`memory_size`] of each.
    cached: HashMap<JobKey, (Event, usize)>,
    cached_bytes: usize,
    /// Routes with jobs that are only in the table, and the key of the first such job.
    overflow: BTreeMap<Arc<str>, JobKey>,
    counts: Counts,
}

impl Queue {
    /// An empty queue of a store that is opened at `now`.
    pub(crate) fn new(now: Timestamp) -> Self {
        Self {
            max_per_route: MAX_QUEUED_JOBS_PER_ROUTE,
            jobs: JobQueue::new_at(now),
            leases: Leases::default(),
            cached: HashMap::new(),
            cached_bytes: 0,
            overflow: BTreeMap::new(),
            counts: Counts::default(),
        }
    }

    /// Applies a change that is committed.
    pub(crate) fn apply(&mut self, update: CacheUpdate) {
        match update {
            CacheUpdate::Added(job, cached) => {
                // Counted even if it is not admitted: an operator has to see the whole backlog.
                self.add_to_counts(&job.route, 1, 0);
                if self.admit(job.clone())
                    && let Some(cached) = cached
                {
                    self.cache(job.key, cached);
                }
            }
            CacheUpdate::Revived(job) => {
                self.add_to_counts(&job.route, 1, -1);
                self.admit(job);
            }
            CacheUpdate::Requeued(id, job) => {
                self.leases.remove(&id);
                self.push(job);
            }
            CacheUpdate::Ended { job, dead } => {
                let Some(lease) = self.leases.remove(&job) else { return };
                // Lets the next job of its order key run.
                self.jobs.remove(lease.job.key);
                self.add_to_counts(&lease.job.route, -1, i64::from(dead));
            }
            // The job was not in the queue, so only its count changes.
            CacheUpdate::DeadRemoved(route) => self.add_to_counts(&route, 0, -1),
        }
    }

    /// Takes the jobs that may run now. The caller leases each of them, or returns it with
    /// [`push`](Self::push).
    pub(crate) fn claim_ready(&mut self, claim: &ClaimRequest) -> Vec<QueuedJob<JobKey>> {
        self.jobs.claim(claim.now, &claim.slots, claim.max_unrouted)
    }

    /// Puts a job back among the waiting ones.
    pub(crate) fn push(&mut self, job: QueuedJob<JobKey>) {
        self.jobs.push(job);
    }

    /// Removes a claimed job whose row is corrupt and counts it as dead.
    pub(crate) fn remove_corrupt(&mut self, job: &QueuedJob<JobKey>) {
        self.jobs.remove(job.key);
        self.add_to_counts(&job.route, -1, 1);
    }

    /// The leases of running jobs.
    pub(crate) fn leases(&self) -> &Leases {
        &self.leases
    }

    /// The leases of running jobs, which a claim changes before its commit.
    pub(crate) fn leases_mut(&mut self) -> &mut Leases {
        &mut self.leases
    }

    /// The latest time that a claim named: the clock of this store.
    pub(crate) fn now(&self) -> Timestamp {
        self.jobs.now()
    }

    /// Time at which the next job is due or the next lease ends.
    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        match (self.jobs.next_due(), self.leases.first_end()) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// Open and dead jobs per route, shared.
    pub(crate) fn counts(&self) -> Counts {
        self.counts.clone()
    }

    /// Puts a job into the queue, unless its route is full there.
    fn admit(&mut self, job: QueuedJob<JobKey>) -> bool {
        let overflow = self.overflow.get(&job.route).copied();
        // Behind jobs that are only in the table, it waits there too: else it would overtake them.
        if overflow.is_some_and(|from| job.key >= from) {
            return false;
        }
        if self.jobs.open_jobs(&job.route) >= self.max_per_route {
            // From this key on the table is the queue of the route, until a refill catches up.
            self.overflow.insert(job.route, job.key);
            return false;
        }
        self.push(job);
        true
    }

    /// A route whose next jobs should be read from the table, and the first key to read.
    pub(crate) fn next_refill(&self) -> Option<(Arc<str>, JobKey)> {
        // Not before: with a refill for each finished job, every claim would run a query.
        let is_half_empty = |route: &str| self.jobs.open_jobs(route) <= self.max_per_route / 2;
        let mut overflow = self.overflow.iter().filter(|(route, _)| is_half_empty(route));
        overflow.next().map(|(route, from)| (route.clone(), *from))
    }

    /// Rows that one refill reads.
    pub(crate) fn refill_page_size(&self) -> usize {
        (self.max_per_route / 10).max(1)
    }

    /// Adds jobs that were read from the table; those from `next` on are still only there.
    pub(crate) fn add_refilled(
        &mut self,
        route: Arc<str>,
        jobs: Vec<QueuedJob<JobKey>>,
        next: Option<JobKey>,
    ) {
        for job in jobs {
            // A revived job with an older key may be in the queue already.
            if !self.jobs.contains(job.key) {
                self.push(job);
            }
        }
        match next {
            Some(from) => self.overflow.insert(route, from),
            None => self.overflow.remove(&route),
        };
    }

    /// The body of a job that was never claimed, if it is in memory.
    pub(crate) fn cached(&self, key: JobKey) -> Option<&Event> {
        self.cached.get(&key).map(|(cached, _)| cached)
    }

    fn cache(&mut self, key: JobKey, cached: Event) {
        let bytes = memory_size(&cached);
        // A body that does not fit is read from its row: slower, but memory stays bounded under any
        // backlog.
        if self.cached_bytes + bytes <= MAX_CACHED_JOB_BYTES {
            self.cached_bytes += bytes;
            self.cached.insert(key, (cached, bytes));
        }
    }

    /// Frees the body of a job whose first claim is committed: later claims need its row.
    pub(crate) fn uncache(&mut self, key: JobKey) {
        if let Some((_, bytes)) = self.cached.remove(&key) {
            self.cached_bytes = self.cached_bytes.saturating_sub(bytes);
        }
    }

    /// Changes the numbers of open and dead jobs of a route.
    pub(crate) fn add_to_counts(&self, route: &Arc<str>, open: i64, dead: i64) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        // Not `entry`, which would clone the name for each job of a known route.
        if !counts.contains_key(route) {
            counts.insert(route.clone(), (0, 0));
        }
        if let Some((open_count, dead_count)) = counts.get_mut(route) {
            *open_count = open_count.saturating_add_signed(open);
            *dead_count = dead_count.saturating_add_signed(dead);
        }
    }
}

/// Estimated memory of a cached job. The body of an event with several jobs counts once per job,
/// so the estimate is never too low.
fn memory_size(event: &Event) -> usize {
    CACHED_JOB_OVERHEAD_BYTES + event.body().memory_size()
}

#[cfg(test)]
impl Queue {
    pub(crate) fn set_max_per_route(&mut self, jobs: usize) {
        self.max_per_route = jobs;
    }

    /// Everything but the order of the ready jobs and the clock, which only claims advance.
    pub(crate) fn snapshot(&self) -> Vec<String> {
        let mut lines = vec![format!("{} cached bytes", self.cached_bytes)];
        lines.extend(self.cached.keys().map(|key| format!("cached {key:?}")));
        lines.extend(self.overflow.iter().map(|overflow| format!("overflow {overflow:?}")));
        lines.push(format!("counts {:?}", self.counts.lock().unwrap()));
        lines.push(format!("open {:?}", self.jobs.open_jobs_by_route()));
        lines.push(format!("{} waiting", self.jobs.pending_len()));
        lines.extend(self.leases.snapshot());
        lines
    }
}
