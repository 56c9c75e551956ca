//! The jobs that this worker is running. A job is in the list from its claim until its outcome is
//! settled, so that its lease is extended all that time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hookward_core::store::{JobId, Lease};
use tokio_util::sync::CancellationToken;

use crate::telemetry;

/// Running jobs by id. Ordered, so that leases are extended in one order in every run of a
/// simulation.
#[derive(Debug, Default)]
pub(super) struct RunningJobs(Mutex<BTreeMap<JobId, RunningJob>>);

#[derive(Debug)]
struct RunningJob {
    lease: Lease,
    route: Arc<str>,
    /// Cancels the attempt.
    stop: CancellationToken,
}

impl RunningJobs {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<JobId, RunningJob>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// The leases of all running jobs.
    pub(super) fn leases(&self) -> Vec<Lease> {
        self.lock().values().map(|job| job.lease).collect()
    }

    /// Adds a claimed job; `stop` ends its attempt. An older attempt at the same job has lost its
    /// lease, so it is stopped: by a clock that jumped, the store took that lease for expired.
    pub(super) fn add(&self, lease: Lease, route: Arc<str>, stop: CancellationToken) {
        // The lock ends with this statement: logging and cancelling need it no longer.
        let older = self.lock().insert(lease.job, RunningJob { lease, route, stop });
        if let Some(older) = older {
            older.stop_without_lease();
        }
    }

    /// Stops the attempt that runs under this lease, which the store no longer accepts.
    pub(super) fn stop_stale(&self, lease: Lease) {
        // Compared by the whole lease: since the leases were listed, the job may have been claimed
        // again.
        if let Some(job) = self.lock().get(&lease.job).filter(|job| job.lease == lease) {
            job.stop_without_lease();
        }
    }

    /// Removes a settled job. A later attempt at the same job, under another lease, stays.
    pub(super) fn remove(&self, lease: Lease) {
        let mut running = self.lock();
        // Removing the later attempt would end the extension of its lease while it runs.
        if running.get(&lease.job).is_some_and(|job| job.lease == lease) {
            running.remove(&lease.job);
        }
    }
}

impl RunningJob {
    fn stop_without_lease(&self) {
        telemetry::log_lease_lost(&self.route, self.lease.job);
        // Its outcome would be stale, so what it still does would only be done twice.
        self.stop.cancel();
    }
}
