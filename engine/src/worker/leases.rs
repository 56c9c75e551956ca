//! Leases of running jobs: how long they last, and how they are extended.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use hookward_core::Timestamp;
use hookward_core::store::Settled;

use super::Shared;

/// How long a lease lasts after its claim or its last extension. The jobs of a worker that vanished
/// wait this long before another one gets them.
pub(super) const LEASE_DURATION: Duration = Duration::from_secs(30);
/// The age of the last extension at which a claim extends first. A heartbeat that is this late was
/// held up by a paused process, a step of the clock, or a slow store.
const MAX_EXTENSION_AGE: Duration = Duration::from_secs(15);

/// When leases were last extended, by the wall clock, because that is what leases go by.
#[derive(Debug)]
pub(super) struct LeaseClock(AtomicI64);

impl LeaseClock {
    pub(super) fn starting_at(now: Timestamp) -> Self {
        Self(AtomicI64::new(now.as_millis()))
    }

    /// Whether leases must be extended before the next claim.
    pub(super) fn are_overdue(&self, now: Timestamp) -> bool {
        now.since(Timestamp::from_millis(self.0.load(Ordering::Relaxed))) > MAX_EXTENSION_AGE
    }

    fn extended_at(&self, now: Timestamp) {
        // Relaxed: the claim loop may see it late, and then extends once more than needed.
        self.0.store(now.as_millis(), Ordering::Relaxed);
    }
}

/// Extends the lease of each running job once, and stops the jobs whose lease is lost. Returns
/// `false` where the store failed.
pub(super) async fn extend_leases(shared: &Shared) -> bool {
    // Read before the call: a slow store must not make the leases look fresher than they are.
    let now = shared.engine.now();
    let leases = shared.running.leases();
    if !leases.is_empty() {
        let until = now.plus(LEASE_DURATION);
        let answers = match shared.engine.store().extend(leases.clone(), until).await {
            Ok(answers) => answers,
            Err(error) => {
                shared.engine.run_state().report_store_error("extend", &error);
                return false;
            }
        };
        for (lease, answer) in leases.into_iter().zip(answers) {
            // Another worker may run the job already: what this attempt still does would be done
            // twice.
            if answer == Settled::Stale {
                shared.running.stop_stale(lease);
            }
        }
    }
    // Also without running jobs, so that an idle worker does not extend before each claim.
    shared.leases.extended_at(now);
    true
}
