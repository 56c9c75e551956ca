//! The leases of running jobs. Leases of one claim end at the same time, so the ends are counted
//! per time and the first end is found without a scan.

use std::collections::{BTreeMap, HashMap};

use hookward_core::Timestamp;
use hookward_core::store::{JobId, QueuedJob};

use crate::rows::JobKey;

/// A leased job and the terms of its lease.
#[derive(Debug, Clone)]
pub(crate) struct ActiveLease {
    pub(crate) job: QueuedJob<JobKey>,
    pub(crate) token: i64,
    pub(crate) started: Timestamp,
    pub(crate) until: Timestamp,
}

/// All leases of this owner. They live in memory only: a new owner of the file voids them all.
#[derive(Debug, Default)]
pub(crate) struct Leases {
    by_job: HashMap<JobId, ActiveLease>,
    /// Number of leases per end time.
    ends: BTreeMap<Timestamp, usize>,
}

impl Leases {
    /// The current lease of a job.
    pub(crate) fn get(&self, job: &JobId) -> Option<&ActiveLease> {
        self.by_job.get(job)
    }

    /// Adds the lease of a claimed job.
    pub(crate) fn insert(&mut self, job: JobId, lease: ActiveLease) {
        *self.ends.entry(lease.until).or_default() += 1;
        // A job that is claimed again while its old lease is still here must leave no end behind:
        // `first_end` would wake workers for nothing.
        if let Some(former) = self.by_job.insert(job, lease) {
            self.remove_end(former.until);
        }
    }

    /// Ends the lease of a job.
    pub(crate) fn remove(&mut self, job: &JobId) -> Option<ActiveLease> {
        let lease = self.by_job.remove(job)?;
        self.remove_end(lease.until);
        Some(lease)
    }

    /// Moves the end of a lease. Returns `false` if `token` is not of the current lease.
    pub(crate) fn extend(&mut self, job: &JobId, token: i64, until: Timestamp) -> bool {
        let Some(lease) = self.by_job.get_mut(job).filter(|lease| lease.token == token) else {
            return false;
        };
        let before = std::mem::replace(&mut lease.until, until);
        *self.ends.entry(until).or_default() += 1;
        self.remove_end(before);
        true
    }

    /// Time at which the first lease ends.
    pub(crate) fn first_end(&self) -> Option<Timestamp> {
        self.ends.keys().next().copied()
    }

    /// The leases that have ended at `now`.
    pub(crate) fn expired(&self, now: Timestamp) -> Vec<(JobId, ActiveLease)> {
        // Asked before each claim: without an ended lease it must not scan.
        if self.first_end().is_none_or(|end| end > now) {
            return Vec::new();
        }
        let expired = self.by_job.iter().filter(|(_, lease)| lease.until <= now);
        expired.map(|(job, lease)| (*job, lease.clone())).collect()
    }

    fn remove_end(&mut self, until: Timestamp) {
        if let Some(count) = self.ends.get_mut(&until) {
            *count -= 1;
            if *count == 0 {
                self.ends.remove(&until);
            }
        }
    }
}

#[cfg(test)]
impl Leases {
    pub(crate) fn snapshot(&self) -> Vec<String> {
        let leases = self.by_job.iter().map(|lease| format!("lease {lease:?}"));
        leases.chain([format!("lease ends {:?}", self.ends)]).collect()
    }
}
