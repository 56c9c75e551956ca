//! Which waiting job comes next: a queue in memory for stores that have one owner. The memory
//! store and the embedded stores feed it; it knows nothing of events or disks.
//!
//! * Per route, jobs that are due leave in the order in which they came in.
//! * Of the jobs of a route with the same order key, at most one is out, and the one that was
//!   accepted first goes first.
//! * Suspects (jobs behind which the process died) leave one at a time, before jobs that are none.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, VecDeque};
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Timestamp;

/// A waiting job. `K` is the store's own key for it; keys grow in the order of acceptance.
#[derive(Debug, Clone)]
pub struct QueuedJob<K> {
    /// The store's key.
    pub key: K,
    /// The route's name.
    pub route: Arc<str>,
    /// Not before this.
    pub due: Timestamp,
    /// Jobs of one route with the same key run one after the other.
    pub order_key: Option<Arc<str>>,
    /// The process died while it ran.
    pub suspect: bool,
}

/// The queue. Everything it holds is open: waiting, or handed out and not yet finished.
#[derive(Debug)]
pub struct JobQueue<K> {
    routes: BTreeMap<Arc<str>, Lane<K>>,
    later: BinaryHeap<Reverse<(Timestamp, K)>>,
    waiting: HashMap<K, QueuedJob<K>>,
    out: HashMap<K, QueuedJob<K>>,
    ordered: HashMap<(Arc<str>, Arc<str>), Ordered<K>>,
    suspect_out: Option<K>,
    /// See [`JobQueue::now`].
    now: Timestamp,
}

/// Claims at the same time name moments a little apart; after a clock was set back, more.
const APART: Duration = Duration::from_secs(1);

/// One route. A key may stand in line twice, or no longer wait; [`JobQueue::take`] looks again.
#[derive(Debug)]
struct Lane<K> {
    ready: VecDeque<K>,
    suspects: VecDeque<K>,
    open: usize,
}

/// The open jobs of one route and order key.
#[derive(Debug)]
struct Ordered<K> {
    open: BTreeSet<K>,
    /// A replayed job can come to stand before the one that is out, so "the first" is not enough.
    out: Option<K>,
}

impl<K> Default for Lane<K> {
    fn default() -> Self {
        Self { ready: VecDeque::new(), suspects: VecDeque::new(), open: 0 }
    }
}

impl<K> Lane<K> {
    fn has_ready(&self) -> bool {
        !self.ready.is_empty() || !self.suspects.is_empty()
    }
}

impl<K> Default for Ordered<K> {
    fn default() -> Self {
        Self { open: BTreeSet::new(), out: None }
    }
}

impl<K: Ord + Copy + Hash> Default for JobQueue<K> {
    fn default() -> Self {
        Self {
            routes: BTreeMap::new(),
            later: BinaryHeap::new(),
            waiting: HashMap::new(),
            out: HashMap::new(),
            ordered: HashMap::new(),
            suspect_out: None,
            now: Timestamp::default(),
        }
    }
}

impl<K: Ord + Copy + Hash> JobQueue<K> {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty one of a store that was opened at this moment, so that a clock which is set back before
    /// the first claim is seen, too.
    pub fn starting(now: Timestamp) -> Self {
        Self { now, ..Self::default() }
    }

    /// The present as far as it is known here: the latest moment that a claim named, since the clock was
    /// last set back.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// A job waits, newly or again. Time passes by what claims name alone, once it has begun: what others
    /// know of it may be older than the last change of the clock.
    pub fn push(&mut self, entry: QueuedJob<K>, _now: Timestamp) {
        let key = entry.key;
        let known = self.contains(key);
        let was_out = self.is_out(key);
        self.return_to_waiting(key);
        let lane = self.routes.entry(entry.route.clone()).or_default();
        lane.open += usize::from(!known);
        if let Some(order) = &entry.order_key {
            let slot = (entry.route.clone(), order.clone());
            self.ordered.entry(slot).or_default().open.insert(key);
        }
        let (route, order) = (entry.route.clone(), entry.order_key.clone());
        if entry.due > self.now {
            self.later.push(Reverse((entry.due, key)));
        } else {
            self.enqueue_ready(&entry);
        }
        self.waiting.insert(key, entry);
        if was_out {
            // It lets an earlier, replayed one of its key pass.
            self.promote_next(route, order, Some(key));
        }
    }

    /// A job is finished, or gone: it no longer stands in anyone's way.
    pub fn remove(&mut self, key: K) {
        self.return_to_waiting(key);
        let Some(entry) = self.waiting.remove(&key) else { return };
        if let Some(lane) = self.routes.get_mut(&entry.route) {
            lane.open = lane.open.saturating_sub(1);
        }
        if let Some(order) = &entry.order_key {
            let slot = (entry.route.clone(), order.clone());
            if let Some(ordered) = self.ordered.get_mut(&slot) {
                ordered.open.remove(&key);
                if ordered.open.is_empty() {
                    self.ordered.remove(&slot);
                }
            }
        }
        self.promote_next(entry.route, entry.order_key, None);
    }

    /// Jobs that may run now: at most so many per named route, and at most `unknown` of all others.
    pub fn claim(
        &mut self,
        now: Timestamp,
        slots: &[(Arc<str>, usize)],
        unknown: usize,
    ) -> Vec<QueuedJob<K>> {
        if now.plus(APART) < self.now {
            self.set_back(now);
        }
        self.mature(now);
        let mut taken = Vec::new();
        for (route, free) in slots {
            self.take(route, *free, &mut taken);
        }
        if unknown > 0 {
            let named = |r: &Arc<str>| slots.iter().any(|(name, _)| name == r);
            let others: Vec<_> = self
                .routes
                .iter()
                .filter(|(r, lane)| lane.has_ready() && !named(r))
                .map(|(r, _)| r.clone())
                .collect();
            let mut left = unknown;
            for route in others {
                let before = taken.len();
                self.take(&route, left, &mut taken);
                left -= (taken.len() - before).min(left);
            }
        }
        taken
    }

    /// When the next job that waits for its time is due; the past where some could go now, if
    /// there is a free slot for them. Jobs that wait for another job are not counted.
    pub fn next_due(&self) -> Option<Timestamp> {
        let free = |key: &K| {
            let entry = self.waiting.get(key).filter(|e| e.due <= self.now && !self.blocked(e))?;
            Some(entry.due)
        };
        let lined_up = self
            .routes
            .values()
            .filter_map(|lane| {
                let suspects = lane.suspects.iter().take_while(|_| self.suspect_out.is_none());
                lane.ready.iter().chain(suspects).find_map(free)
            })
            .min();
        let later = self.later.peek().map(|Reverse((due, _))| *due);
        match (lined_up, later) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// Waiting jobs.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Whether a job is handed out.
    pub fn is_out(&self, key: K) -> bool {
        self.out.contains_key(&key)
    }

    /// Whether a job is known here at all.
    pub fn contains(&self, key: K) -> bool {
        self.out.contains_key(&key) || self.waiting.contains_key(&key)
    }

    /// Open jobs of one route.
    pub fn open(&self, route: &str) -> usize {
        self.routes.get(route).map_or(0, |lane| lane.open)
    }

    /// Open jobs per route, for the routes that have some.
    pub fn open_by_route(&self) -> BTreeMap<Arc<str>, u64> {
        let open = self.routes.iter().filter(|(_, lane)| lane.open > 0);
        open.map(|(route, lane)| (route.clone(), lane.open as u64)).collect()
    }

    /// What is out waits again; whoever calls this decides what becomes of it.
    fn return_to_waiting(&mut self, key: K) {
        let Some(entry) = self.out.remove(&key) else { return };
        if self.suspect_out == Some(key) {
            self.suspect_out = None;
        }
        if let Some(order) = &entry.order_key {
            let slot = (entry.route.clone(), order.clone());
            if let Some(ordered) = self.ordered.get_mut(&slot).filter(|o| o.out == Some(key)) {
                ordered.out = None;
            }
        }
        self.waiting.insert(key, entry);
    }

    /// The first of an order key may have been passed over while another one stood in its way.
    fn promote_next(&mut self, route: Arc<str>, order: Option<Arc<str>>, pushed: Option<K>) {
        let Some(order) = order else { return };
        let Some(ordered) = self.ordered.get(&(route, order)) else { return };
        let next = ordered.open.first().copied().filter(|k| Some(*k) != pushed);
        let due = |e: &&QueuedJob<K>| e.due <= self.now;
        if let Some(entry) = next.and_then(|k| self.waiting.get(&k)).filter(due).cloned() {
            self.enqueue_ready(&entry);
        }
    }

    /// It is due. One that waits for another of its key is not put in line, else all that look for the
    /// first who may go would have to look past a whole backlog.
    fn enqueue_ready(&mut self, entry: &QueuedJob<K>) {
        if self.blocked(entry) {
            return;
        }
        let lane = self.routes.entry(entry.route.clone()).or_default();
        if entry.suspect {
            lane.suspects.push_back(entry.key);
        } else {
            lane.ready.push_back(entry.key);
        }
    }

    /// The clock went back. What waits for a moment to come waits on as long as it would have by the
    /// clock as it was: a job that came in while it was ahead is due, and no retry is at once.
    fn set_back(&mut self, now: Timestamp) {
        let by = self.now.since(now);
        self.now = now;
        self.later.clear();
        for (key, entry) in self.waiting.iter_mut().filter(|(_, entry)| entry.due > now) {
            entry.due = entry.due.minus(by);
            // Those that are due by that are lined up from here.
            self.later.push(Reverse((entry.due, *key)));
        }
    }

    fn mature(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
        while let Some(Reverse((due, key))) = self.later.peek().copied() {
            if due > self.now {
                return;
            }
            self.later.pop();
            // A job can stand here twice when it was removed or pushed anew; the entry decides.
            if let Some(entry) = self.waiting.get(&key).filter(|e| e.due == due).cloned() {
                self.enqueue_ready(&entry);
            }
        }
    }

    fn take(&mut self, route: &Arc<str>, mut free: usize, taken: &mut Vec<QueuedJob<K>>) {
        while free > 0 {
            let Some(key) = self.next_of(route) else { return };
            // It may have stood in line twice, been taken, and come back for later.
            let may_go = |e: &QueuedJob<K>| e.due <= self.now && !self.blocked(e);
            if !self.waiting.get(&key).is_some_and(may_go) {
                continue;
            }
            let Some(entry) = self.waiting.remove(&key) else { continue };
            if entry.suspect {
                self.suspect_out = Some(key);
            }
            if let Some(order) = &entry.order_key {
                let slot = (entry.route.clone(), order.clone());
                self.ordered.entry(slot).or_default().out = Some(key);
            }
            self.out.insert(key, entry.clone());
            taken.push(entry);
            free -= 1;
        }
    }

    fn next_of(&mut self, route: &Arc<str>) -> Option<K> {
        let lane = self.routes.get_mut(route)?;
        // First, else it would wait behind any backlog; as one is out at most, it keeps nobody else up.
        let suspect = if self.suspect_out.is_none() { lane.suspects.pop_front() } else { None };
        suspect.or_else(|| lane.ready.pop_front())
    }

    /// Passed over now; [`Self::promote_next`] lines it up.
    fn blocked(&self, entry: &QueuedJob<K>) -> bool {
        let Some(order) = &entry.order_key else { return false };
        self.ordered
            .get(&(entry.route.clone(), order.clone()))
            .is_some_and(|o| o.out.is_some() || o.open.first() != Some(&entry.key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(100);

    fn entry(key: u32, order: Option<&str>) -> QueuedJob<u32> {
        let order_key = order.map(Arc::from);
        QueuedJob { key, route: "r".into(), due: NOW, order_key, suspect: false }
    }

    fn claim(s: &mut JobQueue<u32>, n: usize) -> Vec<u32> {
        s.claim(NOW, &[("r".into(), n)], 0).into_iter().map(|e| e.key).collect()
    }

    #[test]
    fn jobs_leave_in_order_and_no_more_than_asked_for() {
        let mut s = JobQueue::new();
        (1..=3).for_each(|k| s.push(entry(k, None), NOW));
        assert_eq!(claim(&mut s, 2), [1, 2]);
        assert_eq!(claim(&mut s, 2), [3]);
        assert!(claim(&mut s, 2).is_empty());
    }

    #[test]
    fn one_order_key_has_one_job_out_and_others_pass() {
        let mut s = JobQueue::new();
        s.push(entry(1, Some("a")), NOW);
        s.push(entry(2, Some("a")), NOW);
        s.push(entry(3, Some("b")), NOW);
        assert_eq!(claim(&mut s, 9), [1, 3]);
        assert!(claim(&mut s, 9).is_empty());
        s.remove(1);
        assert_eq!(claim(&mut s, 9), [2]);
    }

    #[test]
    fn a_retried_head_keeps_its_key_closed_until_it_is_finished() {
        let mut s = JobQueue::new();
        s.push(entry(1, Some("a")), NOW);
        s.push(entry(2, Some("a")), NOW);
        assert_eq!(claim(&mut s, 9), [1]);
        s.push(
            QueuedJob { due: NOW.plus(std::time::Duration::from_secs(5)), ..entry(1, Some("a")) },
            NOW,
        );
        assert!(claim(&mut s, 9).is_empty());
        let then = NOW.plus(std::time::Duration::from_secs(5));
        let keys = |v: Vec<QueuedJob<u32>>| v.into_iter().map(|e| e.key).collect::<Vec<_>>();
        assert_eq!(keys(s.claim(then, &[("r".into(), 9)], 0)), [1]);
        s.remove(1);
        assert_eq!(claim(&mut s, 9), [2]);
    }

    #[test]
    fn what_is_not_due_waits_and_next_due_says_until_when() {
        let mut s = JobQueue::new();
        let due = NOW.plus(std::time::Duration::from_secs(5));
        s.push(QueuedJob { due, ..entry(1, None) }, NOW);
        assert!(claim(&mut s, 9).is_empty());
        assert_eq!(s.next_due(), Some(due));
        assert_eq!(s.claim(due, &[("r".into(), 1)], 0).len(), 1);
        assert_eq!(s.next_due(), None);
    }

    #[test]
    fn a_clock_that_is_set_back_makes_no_retry_immediate_and_keeps_no_job_waiting() {
        let hour = std::time::Duration::from_secs(3600);
        let secs = std::time::Duration::from_secs;
        let (mut s, ahead) = (JobQueue::new(), NOW.plus(hour));
        s.claim(ahead, &[], 0);
        // One that came in while the clock was ahead, one that was to be tried again then.
        s.push(QueuedJob { due: ahead, ..entry(1, None) }, ahead);
        s.push(QueuedJob { due: ahead.plus(secs(60)), ..entry(2, None) }, ahead);
        assert_eq!(claim(&mut s, 9), [1]);
        // And one that is to be tried again after.
        s.push(QueuedJob { due: NOW.plus(secs(5)), ..entry(1, None) }, NOW);
        let mut claim = |after| {
            let taken = s.claim(NOW.plus(secs(after)), &[("r".into(), 9)], 0);
            taken.into_iter().map(|e| e.key).collect::<Vec<_>>()
        };
        assert_eq!((claim(0), claim(4), claim(5)), (vec![], vec![], vec![1]));
        assert_eq!((claim(59), claim(60)), (vec![], vec![2]));
    }

    #[test]
    fn suspects_leave_one_at_a_time() {
        let mut s = JobQueue::new();
        s.push(QueuedJob { suspect: true, ..entry(1, None) }, NOW);
        s.push(QueuedJob { suspect: true, ..entry(2, None) }, NOW);
        s.push(entry(3, None), NOW);
        assert_eq!(claim(&mut s, 9), [1, 3]);
        assert!(claim(&mut s, 9).is_empty());
        s.remove(1);
        assert_eq!(claim(&mut s, 9), [2]);
    }

    #[test]
    fn a_suspect_does_not_wait_behind_the_backlog_of_its_route() {
        let mut s = JobQueue::new();
        (1..=3).for_each(|k| s.push(entry(k, None), NOW));
        (4..=5).for_each(|k| s.push(QueuedJob { suspect: true, ..entry(k, None) }, NOW));
        assert_eq!(claim(&mut s, 1), [4]);
        assert_eq!(claim(&mut s, 1), [1], "one suspect is out");
        s.remove(4);
        assert_eq!(claim(&mut s, 9), [5, 2, 3]);
    }

    #[test]
    fn a_backlog_of_one_order_key_stands_in_nobodys_way() {
        let mut s = JobQueue::new();
        let has_ready = |s: &JobQueue<u32>| s.routes.values().map(|l| l.ready.len()).sum::<usize>();
        s.push(entry(0, Some("a")), NOW);
        assert_eq!(claim(&mut s, 1), [0]);
        (1..=25_000).for_each(|k| s.push(entry(k, Some("a")), NOW));
        let due = NOW.plus(Duration::from_secs(1));
        (25_001..=50_000).for_each(|k| s.push(QueuedJob { due, ..entry(k, Some("a")) }, NOW));
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
    fn jobs_of_routes_that_nobody_named_leave_as_unknown() {
        let mut s = JobQueue::new();
        s.push(entry(1, None), NOW);
        assert_eq!(s.claim(NOW, &[("other".into(), 9)], 0).len(), 0);
        assert_eq!(s.claim(NOW, &[("other".into(), 9)], 4).len(), 1);
    }

    #[test]
    fn a_replayed_older_job_waits_for_the_one_of_its_key_that_is_out() {
        let mut s = JobQueue::new();
        s.push(entry(5, Some("a")), NOW);
        assert_eq!(claim(&mut s, 9), [5]);
        s.push(entry(2, Some("a")), NOW);
        assert!(claim(&mut s, 9).is_empty());
        assert_eq!(s.next_due(), None, "nothing can go before 5 is back");
        s.push(entry(5, Some("a")), NOW);
        assert_eq!(claim(&mut s, 9), [2]);
        s.remove(2);
        assert_eq!(claim(&mut s, 9), [5]);
    }

    #[test]
    fn a_job_that_stood_in_line_twice_does_not_leave_before_its_time() {
        let mut s = JobQueue::new();
        let later = NOW.plus(std::time::Duration::from_secs(5));
        (1..=2).for_each(|k| s.push(entry(k, Some("a")), NOW));
        s.push(entry(1, Some("a")), NOW);
        assert_eq!(claim(&mut s, 1), [1]);
        s.push(QueuedJob { due: later, ..entry(1, Some("a")) }, NOW);
        assert!(claim(&mut s, 9).is_empty());
        assert_eq!(s.next_due(), Some(later));
    }

    #[test]
    fn a_suspect_that_waits_for_another_is_not_due() {
        let mut s = JobQueue::new();
        (1..=2).for_each(|k| s.push(QueuedJob { suspect: true, ..entry(k, None) }, NOW));
        assert_eq!(claim(&mut s, 9), [1]);
        assert_eq!(s.next_due(), None);
        s.remove(1);
        assert_eq!(s.next_due(), Some(NOW));
        assert_eq!(s.open_by_route().into_iter().next(), Some(("r".into(), 1)));
    }
}
