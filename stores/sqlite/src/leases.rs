//! Which jobs are out, under which lease. Claims of one call end at one moment, so that there are
//! few such moments, and the first of them is at hand.

use std::collections::{BTreeMap, HashMap};

use hookward_core::Timestamp;
use hookward_core::store::{JobId, QueuedJob};

use crate::queue::Key;

/// A leased job.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    pub(crate) entry: QueuedJob<Key>,
    pub(crate) token: i64,
    pub(crate) started: Timestamp,
    pub(crate) until: Timestamp,
}

#[derive(Debug, Default)]
pub(crate) struct Leases {
    held: HashMap<JobId, Held>,
    /// So many end at each moment.
    ends: BTreeMap<Timestamp, usize>,
}

impl Leases {
    pub(crate) fn get(&self, job: &JobId) -> Option<&Held> {
        self.held.get(job)
    }

    pub(crate) fn insert(&mut self, job: JobId, held: Held) {
        *self.ends.entry(held.until).or_default() += 1;
        if let Some(former) = self.held.insert(job, held) {
            self.ended(former.until);
        }
    }

    pub(crate) fn remove(&mut self, job: &JobId) -> Option<Held> {
        let held = self.held.remove(job)?;
        self.ended(held.until);
        Some(held)
    }

    /// Whether this is the current lease of the job.
    pub(crate) fn extend(&mut self, job: &JobId, token: i64, until: Timestamp) -> bool {
        let Some(held) = self.held.get_mut(job).filter(|held| held.token == token) else {
            return false;
        };
        let before = std::mem::replace(&mut held.until, until);
        *self.ends.entry(until).or_default() += 1;
        self.ended(before);
        true
    }

    /// When the first lease ends.
    pub(crate) fn first_end(&self) -> Option<Timestamp> {
        self.ends.keys().next().copied()
    }

    /// Those that have ended.
    pub(crate) fn lost(&self, now: Timestamp) -> Vec<(JobId, Held)> {
        if self.first_end().is_none_or(|end| end > now) {
            return Vec::new();
        }
        let lost = self.held.iter().filter(|(_, held)| held.until <= now);
        lost.map(|(job, held)| (*job, held.clone())).collect()
    }

    fn ended(&mut self, until: Timestamp) {
        if let Some(count) = self.ends.get_mut(&until) {
            *count -= 1;
            if *count == 0 {
                self.ends.remove(&until);
            }
        }
    }
}
