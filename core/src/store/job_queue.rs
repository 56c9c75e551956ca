//! A queue of open jobs in memory, which decides the job that runs next. For stores with one owner:
//! the memory store and the embedded stores feed it. It knows neither events nor disks.
//!
//! * Due jobs of a route are claimed in the order in which they became due.
//! * Of the jobs of a route with the same order key, at most one is claimed at a time, and the one
//!   that was accepted first goes first.
//! * Crash suspects (jobs that were running when the process died) are claimed one at a time,
//!   before other jobs of their route. If the process dies again, the suspect that was claimed is
//!   the cause.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, VecDeque};
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Timestamp;

/// A job in a [`JobQueue`]. `K` is the store's own key of the job; keys must sort in the order of
/// acceptance.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct QueuedJob<K> {
    /// The store's key of the job.
    pub key: K,
    /// The name of the route whose chain the job runs.
    pub route: Arc<str>,
    /// The earliest time at which the job may be claimed.
    pub due: Timestamp,
    /// Jobs of one route with the same order key run one at a time, in the order of acceptance.
    pub order_key: Option<Arc<str>>,
    /// Whether the job was running when the process died.
    pub crash_suspect: bool,
}

impl<K> QueuedJob<K> {
    /// A job without an order key that is not a crash suspect.
    pub fn new(key: K, route: impl Into<Arc<str>>, due: Timestamp) -> Self {
        Self { key, route: route.into(), due, order_key: None, crash_suspect: false }
    }

    setters! {
        with_due => due: Timestamp;
        with_order_key => order_key: into Option<Arc<str>>;
        with_crash_suspect => crash_suspect: bool;
    }
}

/// The open jobs of a store: pending, or claimed and not finished.
///
/// ```
/// use hookward_core::Timestamp;
/// use hookward_core::store::{JobQueue, QueuedJob};
///
/// let now = Timestamp::from_secs(100);
/// let mut queue = JobQueue::new_at(now);
/// queue.push(QueuedJob::new(1, "orders", now));
/// queue.push(QueuedJob::new(2, "orders", now));
///
/// let claimed = queue.claim(now, &[("orders".into(), 1)], 0);
/// assert_eq!(claimed.iter().map(|job| job.key).collect::<Vec<_>>(), [1]);
/// queue.remove(1);
/// assert_eq!(queue.open_jobs("orders"), 1);
/// ```
#[derive(Debug)]
pub struct JobQueue<K> {
    routes: BTreeMap<Arc<str>, RouteQueue<K>>,
    /// Jobs that are not due yet, by due time.
    delayed: BinaryHeap<Reverse<(Timestamp, K)>>,
    pending: HashMap<K, QueuedJob<K>>,
    claimed: HashMap<K, QueuedJob<K>>,
    ordered: HashMap<(Arc<str>, Arc<str>), OrderedJobs<K>>,
    /// The crash suspect that is claimed; of all routes together there is at most one.
    claimed_suspect: Option<K>,
    /// The queue's time; see [`JobQueue::now`].
    now: Timestamp,
}

/// How far apart the times of concurrent claims may be. A claim whose time is further back than
/// this means that the clock was set back.
const CLOCK_STEP_THRESHOLD: Duration = Duration::from_secs(1);

/// The due jobs of one route. A key may stand here twice, or may no longer be pending: removing it
/// would take a search, so [`JobQueue::claim_from_route`] checks each key that it takes.
#[derive(Debug)]
struct RouteQueue<K> {
    ready: VecDeque<K>,
    suspects: VecDeque<K>,
    open: usize,
}

/// The open jobs of one route and order key.
#[derive(Debug)]
struct OrderedJobs<K> {
    open: BTreeSet<K>,
    /// The claimed job. Not always the first open one: a replayed job can be older than it.
    claimed: Option<K>,
}

impl<K> Default for RouteQueue<K> {
    fn default() -> Self {
        Self { ready: VecDeque::new(), suspects: VecDeque::new(), open: 0 }
    }
}

impl<K> RouteQueue<K> {
    fn has_ready(&self) -> bool {
        !self.ready.is_empty() || !self.suspects.is_empty()
    }
}

impl<K> Default for OrderedJobs<K> {
    fn default() -> Self {
        Self { open: BTreeSet::new(), claimed: None }
    }
}

impl<K: Ord + Copy + Hash> Default for JobQueue<K> {
    fn default() -> Self {
        Self {
            routes: BTreeMap::new(),
            delayed: BinaryHeap::new(),
            pending: HashMap::new(),
            claimed: HashMap::new(),
            ordered: HashMap::new(),
            claimed_suspect: None,
            now: Timestamp::default(),
        }
    }
}

impl<K: Ord + Copy + Hash> JobQueue<K> {
    /// An empty queue whose time starts with the first claim.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty queue of a store that is opened at `now`. A clock that is set back between opening
    /// and the first claim is then noticed too.
    pub fn new_at(now: Timestamp) -> Self {
        Self { now, ..Self::default() }
    }

    /// The queue's time: the latest time that a claim named since the clock was last set back.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Makes a job pending: a new one, or one that was claimed and comes back.
    ///
    /// Only [`claim`](Self::claim) advances the queue's time. The time that a caller knows here may
    /// be older than the last clock change, and would look like another one.
    pub fn push(&mut self, job: QueuedJob<K>) {
        let key = job.key;
        let is_known = self.contains(key);
        let was_claimed = self.is_claimed(key);
        self.unclaim(key);
        let queue = self.routes.entry(job.route.clone()).or_default();
        queue.open += usize::from(!is_known);
        if let Some(order) = &job.order_key {
            let slot = (job.route.clone(), order.clone());
            self.ordered.entry(slot).or_default().open.insert(key);
        }
        let (route, order) = (job.route.clone(), job.order_key.clone());
        if job.due > self.now {
            self.delayed.push(Reverse((job.due, key)));
        } else {
            self.enqueue_ready(&job);
        }
        self.pending.insert(key, job);
        if was_claimed {
            // An older, replayed job of the same order key could not be claimed beside this one. It
            // goes first now, and nothing else would put it into the route's queue.
            self.promote_next(route, order, Some(key));
        }
    }

    /// Removes a job that is finished or gone, so that the next job of its order key can be
    /// claimed.
    pub fn remove(&mut self, key: K) {
        self.unclaim(key);
        let Some(job) = self.pending.remove(&key) else { return };
        if let Some(queue) = self.routes.get_mut(&job.route) {
            queue.open = queue.open.saturating_sub(1);
        }
        if let Some(order) = &job.order_key {
            let slot = (job.route.clone(), order.clone());
            if let Some(ordered) = self.ordered.get_mut(&slot) {
                ordered.open.remove(&key);
                // Order keys come from events; keeping empty entries would grow without limit.
                if ordered.open.is_empty() {
                    self.ordered.remove(&slot);
                }
            }
        }
        self.promote_next(job.route, job.order_key, None);
    }

    /// Claims jobs that are due at `now`: of each named route at most the given number, and at most
    /// `max_unrouted` of all other routes together.
    pub fn claim(
        &mut self,
        now: Timestamp,
        slots: &[(Arc<str>, usize)],
        max_unrouted: usize,
    ) -> Vec<QueuedJob<K>> {
        if now.plus(CLOCK_STEP_THRESHOLD) < self.now {
            self.shift_due_times(now);
        }
        self.enqueue_due(now);
        let mut claimed = Vec::new();
        for (route, free) in slots {
            self.claim_from_route(route, *free, &mut claimed);
        }
        if max_unrouted > 0 {
            let is_named = |r: &Arc<str>| slots.iter().any(|(name, _)| name == r);
            let others: Vec<_> = self
                .routes
                .iter()
                .filter(|(r, queue)| queue.has_ready() && !is_named(r))
                .map(|(r, _)| r.clone())
                .collect();
            let mut left = max_unrouted;
            for route in others {
                let before = claimed.len();
                self.claim_from_route(&route, left, &mut claimed);
                left -= (claimed.len() - before).min(left);
            }
        }
        claimed
    }

    /// When a claim can next return a job; in the past where one could now, if its route had a free
    /// slot. Jobs that wait for another job of their order key do not count.
    pub fn next_due(&self) -> Option<Timestamp> {
        let due_if_claimable = |key: &K| {
            let job = self.pending.get(key).filter(|job| self.is_claimable(job))?;
            Some(job.due)
        };
        let ready = self
            .routes
            .values()
            .filter_map(|queue| {
                // While a suspect is claimed, no other suspect can be.
                let suspects = queue.suspects.iter().take_while(|_| self.claimed_suspect.is_none());
                queue.ready.iter().chain(suspects).find_map(due_if_claimable)
            })
            .min();
        let delayed = self.delayed.peek().map(|Reverse((due, _))| *due);
        match (ready, delayed) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// The number of pending jobs.
    pub fn pending_len(&self) -> usize {
        self.pending.len()
    }

    /// Whether a job is claimed and has not come back.
    pub fn is_claimed(&self, key: K) -> bool {
        self.claimed.contains_key(&key)
    }

    /// Whether a job is open: pending or claimed.
    pub fn contains(&self, key: K) -> bool {
        self.claimed.contains_key(&key) || self.pending.contains_key(&key)
    }

    /// The number of open jobs of one route.
    pub fn open_jobs(&self, route: &str) -> usize {
        self.routes.get(route).map_or(0, |queue| queue.open)
    }

    /// The number of open jobs of each route that has any.
    pub fn open_jobs_by_route(&self) -> BTreeMap<Arc<str>, u64> {
        let open = self.routes.iter().filter(|(_, queue)| queue.open > 0);
        open.map(|(route, queue)| (route.clone(), queue.open as u64)).collect()
    }

    /// Makes a claimed job pending without queueing it; the caller decides what becomes of it.
    fn unclaim(&mut self, key: K) {
        let Some(job) = self.claimed.remove(&key) else { return };
        if self.claimed_suspect == Some(key) {
            self.claimed_suspect = None;
        }
        if let Some(order) = &job.order_key {
            let slot = (job.route.clone(), order.clone());
            if let Some(ordered) = self.ordered.get_mut(&slot).filter(|o| o.claimed == Some(key)) {
                ordered.claimed = None;
            }
        }
        self.pending.insert(key, job);
    }

    /// Queues the first open job of an order key, unless it is `pushed`, which is queued already.
    /// It was not queued when it became due, because another job of its key was claimed then.
    fn promote_next(&mut self, route: Arc<str>, order: Option<Arc<str>>, pushed: Option<K>) {
        let Some(order) = order else { return };
        let Some(ordered) = self.ordered.get(&(route, order)) else { return };
        let next = ordered.open.first().copied().filter(|k| Some(*k) != pushed);
        let is_due = |job: &&QueuedJob<K>| job.due <= self.now;
        if let Some(job) = next.and_then(|k| self.pending.get(&k)).filter(is_due).cloned() {
            self.enqueue_ready(&job);
        }
    }

    /// Queues a due job, unless another job of its order key goes first. Queueing those too would
    /// make every search for a claimable job pass over the key's whole backlog:
    /// [`promote_next`](Self::promote_next) queues them one by one.
    fn enqueue_ready(&mut self, job: &QueuedJob<K>) {
        if self.is_blocked(job) {
            return;
        }
        let queue = self.routes.entry(job.route.clone()).or_default();
        if job.crash_suspect {
            queue.suspects.push_back(job.key);
        } else {
            queue.ready.push_back(job.key);
        }
    }

    /// Moves every future due time back with the clock. A job that was accepted while the clock was
    /// ahead is due now instead of hours later, and a retry keeps its delay instead of running
    /// immediately.
    fn shift_due_times(&mut self, now: Timestamp) {
        let step = self.now.since(now);
        self.now = now;
        self.delayed.clear();
        for (key, job) in self.pending.iter_mut().filter(|(_, job)| job.due > now) {
            job.due = job.due.minus(step);
            // Also those that are due now: `enqueue_due` queues them from here.
            self.delayed.push(Reverse((job.due, *key)));
        }
    }

    /// Advances the queue's time and queues the jobs that are due by then.
    fn enqueue_due(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
        while let Some(Reverse((due, key))) = self.delayed.peek().copied() {
            if due > self.now {
                return;
            }
            self.delayed.pop();
            // The heap still holds times of jobs that were removed, or pushed again with another
            // due time. Only the job's own due time counts.
            if let Some(job) = self.pending.get(&key).filter(|job| job.due == due).cloned() {
                self.enqueue_ready(&job);
            }
        }
    }

    fn claim_from_route(
        &mut self,
        route: &Arc<str>,
        mut free: usize,
        claimed: &mut Vec<QueuedJob<K>>,
    ) {
        while free > 0 {
            let Some(key) = self.pop_ready(route) else { return };
            // A key that was queued twice may have been claimed and have come back for later.
            if !self.pending.get(&key).is_some_and(|job| self.is_claimable(job)) {
                continue;
            }
            let Some(job) = self.pending.remove(&key) else { continue };
            if job.crash_suspect {
                self.claimed_suspect = Some(key);
            }
            if let Some(order) = &job.order_key {
                let slot = (job.route.clone(), order.clone());
                self.ordered.entry(slot).or_default().claimed = Some(key);
            }
            self.claimed.insert(key, job.clone());
            claimed.push(job);
            free -= 1;
        }
    }

    fn pop_ready(&mut self, route: &Arc<str>) -> Option<K> {
        let queue = self.routes.get_mut(route)?;
        // Suspects first: behind a backlog they would never be tried. Since at most one is claimed,
        // they cannot hold up the other jobs.
        let suspect =
            if self.claimed_suspect.is_none() { queue.suspects.pop_front() } else { None };
        suspect.or_else(|| queue.ready.pop_front())
    }

    fn is_claimable(&self, job: &QueuedJob<K>) -> bool {
        job.due <= self.now && !self.is_blocked(job)
    }

    /// Whether another job of the same order key is claimed or goes first.
    fn is_blocked(&self, job: &QueuedJob<K>) -> bool {
        let Some(order) = &job.order_key else { return false };
        self.ordered
            .get(&(job.route.clone(), order.clone()))
            .is_some_and(|o| o.claimed.is_some() || o.open.first() != Some(&job.key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(100);

    fn entry(key: u32, order: Option<&str>) -> QueuedJob<u32> {
        let order_key = order.map(Arc::from);
        QueuedJob { key, route: "r".into(), due: NOW, order_key, crash_suspect: false }
    }

    fn claim(s: &mut JobQueue<u32>, n: usize) -> Vec<u32> {
        s.claim(NOW, &[("r".into(), n)], 0).into_iter().map(|e| e.key).collect()
    }

    #[test]
    fn jobs_are_claimed_in_order_and_at_most_as_many_as_there_are_slots() {
        let mut s = JobQueue::new();
        (1..=3).for_each(|k| s.push(entry(k, None)));
        assert_eq!(claim(&mut s, 2), [1, 2]);
        assert_eq!(claim(&mut s, 2), [3]);
        assert!(claim(&mut s, 2).is_empty());
    }

    #[test]
    fn an_order_key_has_one_claimed_job_and_other_keys_are_not_held_up() {
        let mut s = JobQueue::new();
        s.push(entry(1, Some("a")));
        s.push(entry(2, Some("a")));
        s.push(entry(3, Some("b")));
        assert_eq!(claim(&mut s, 9), [1, 3]);
        assert!(claim(&mut s, 9).is_empty());
        s.remove(1);
        assert_eq!(claim(&mut s, 9), [2]);
    }

    #[test]
    fn a_retried_job_blocks_its_order_key_until_it_is_finished() {
        let mut s = JobQueue::new();
        s.push(entry(1, Some("a")));
        s.push(entry(2, Some("a")));
        assert_eq!(claim(&mut s, 9), [1]);
        s.push(QueuedJob {
            due: NOW.plus(std::time::Duration::from_secs(5)),
            ..entry(1, Some("a"))
        });
        assert!(claim(&mut s, 9).is_empty());
        let then = NOW.plus(std::time::Duration::from_secs(5));
        let keys = |v: Vec<QueuedJob<u32>>| v.into_iter().map(|e| e.key).collect::<Vec<_>>();
        assert_eq!(keys(s.claim(then, &[("r".into(), 9)], 0)), [1]);
        s.remove(1);
        assert_eq!(claim(&mut s, 9), [2]);
    }

    #[test]
    fn a_job_that_is_not_due_is_not_claimed_and_next_due_is_its_due_time() {
        let mut s = JobQueue::new();
        let due = NOW.plus(std::time::Duration::from_secs(5));
        s.push(QueuedJob { due, ..entry(1, None) });
        assert!(claim(&mut s, 9).is_empty());
        assert_eq!(s.next_due(), Some(due));
        assert_eq!(s.claim(due, &[("r".into(), 1)], 0).len(), 1);
        assert_eq!(s.next_due(), None);
    }

    #[test]
    fn a_clock_that_is_set_back_neither_shortens_a_retry_nor_delays_a_job() {
        let hour = std::time::Duration::from_secs(3600);
        let secs = std::time::Duration::from_secs;
        let (mut s, ahead) = (JobQueue::new(), NOW.plus(hour));
        s.claim(ahead, &[], 0);
        // One that came in while the clock was ahead, one that was to be tried again then.
        s.push(QueuedJob { due: ahead, ..entry(1, None) });
        s.push(QueuedJob { due: ahead.plus(secs(60)), ..entry(2, None) });
        assert_eq!(claim(&mut s, 9), [1]);
        // And one that is to be tried again after.
        s.push(QueuedJob { due: NOW.plus(secs(5)), ..entry(1, None) });
        let mut claim = |after| {
            let taken = s.claim(NOW.plus(secs(after)), &[("r".into(), 9)], 0);
            taken.into_iter().map(|e| e.key).collect::<Vec<_>>()
        };
        assert_eq!((claim(0), claim(4), claim(5)), (vec![], vec![], vec![1]));
        assert_eq!((claim(59), claim(60)), (vec![], vec![2]));
    }

    #[test]
    fn crash_suspects_are_claimed_one_at_a_time() {
        let mut s = JobQueue::new();
        s.push(QueuedJob { crash_suspect: true, ..entry(1, None) });
        s.push(QueuedJob { crash_suspect: true, ..entry(2, None) });
        s.push(entry(3, None));
        assert_eq!(claim(&mut s, 9), [1, 3]);
        assert!(claim(&mut s, 9).is_empty());
        s.remove(1);
        assert_eq!(claim(&mut s, 9), [2]);
    }

    #[test]
    fn a_crash_suspect_is_claimed_before_the_backlog_of_its_route() {
        let mut s = JobQueue::new();
        (1..=3).for_each(|k| s.push(entry(k, None)));
        (4..=5).for_each(|k| s.push(QueuedJob { crash_suspect: true, ..entry(k, None) }));
        assert_eq!(claim(&mut s, 1), [4]);
        assert_eq!(claim(&mut s, 1), [1], "one suspect is claimed");
        s.remove(4);
        assert_eq!(claim(&mut s, 9), [5, 2, 3]);
    }

    #[test]
    fn a_backlog_of_one_order_key_keeps_at_most_one_job_queued() {
        let mut s = JobQueue::new();
        let has_ready = |s: &JobQueue<u32>| s.routes.values().map(|l| l.ready.len()).sum::<usize>();
        s.push(entry(0, Some("a")));
        assert_eq!(claim(&mut s, 1), [0]);
        (1..=25_000).for_each(|k| s.push(entry(k, Some("a"))));
        let due = NOW.plus(Duration::from_secs(1));
        (25_001..=50_000).for_each(|k| s.push(QueuedJob { due, ..entry(k, Some("a")) }));
        assert!(s.claim(due, &[], 0).is_empty());
        assert_eq!((has_ready(&s), s.next_due()), (0, None));
        assert!(s.claim(due, &[("r".into(), 9)], 0).is_empty());
        for k in 0..50_000 {
            s.remove(k);
            assert_eq!(has_ready(&s), 1);
            let next = s.claim(due, &[("r".into(), 9)], 0);
            assert_eq!(next.iter().map(|e| e.key).collect::<Vec<_>>(), [k + 1]);
            assert_eq!((has_ready(&s), s.next_due()), (0, None));
        }
    }

    #[test]
    fn jobs_of_routes_that_nobody_named_leave_as_max_unrouted() {
        let mut s = JobQueue::new();
        s.push(entry(1, None));
        assert_eq!(s.claim(NOW, &[("other".into(), 9)], 0).len(), 0);
        assert_eq!(s.claim(NOW, &[("other".into(), 9)], 4).len(), 1);
    }

    #[test]
    fn a_replayed_older_job_waits_for_the_claimed_job_of_its_order_key() {
        let mut s = JobQueue::new();
        s.push(entry(5, Some("a")));
        assert_eq!(claim(&mut s, 9), [5]);
        s.push(entry(2, Some("a")));
        assert!(claim(&mut s, 9).is_empty());
        assert_eq!(s.next_due(), None, "nothing is claimable before 5 is back");
        s.push(entry(5, Some("a")));
        assert_eq!(claim(&mut s, 9), [2]);
        s.remove(2);
        assert_eq!(claim(&mut s, 9), [5]);
    }

    #[test]
    fn a_job_that_was_queued_twice_is_not_claimed_before_it_is_due() {
        let mut s = JobQueue::new();
        let later = NOW.plus(std::time::Duration::from_secs(5));
        (1..=2).for_each(|k| s.push(entry(k, Some("a"))));
        s.push(entry(1, Some("a")));
        assert_eq!(claim(&mut s, 1), [1]);
        s.push(QueuedJob { due: later, ..entry(1, Some("a")) });
        assert!(claim(&mut s, 9).is_empty());
        assert_eq!(s.next_due(), Some(later));
    }

    #[test]
    fn a_crash_suspect_that_waits_for_another_is_not_due() {
        let mut s = JobQueue::new();
        (1..=2).for_each(|k| s.push(QueuedJob { crash_suspect: true, ..entry(k, None) }));
        assert_eq!(claim(&mut s, 9), [1]);
        assert_eq!(s.next_due(), None);
        s.remove(1);
        assert_eq!(s.next_due(), Some(NOW));
        assert_eq!(s.open_jobs_by_route().into_iter().next(), Some(("r".into(), 1)));
    }
}
