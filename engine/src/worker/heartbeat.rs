//! The heartbeat loop: extends the leases of running jobs, so that no other worker gets them.

use std::sync::Arc;
use std::time::Duration;

use super::Shared;
use super::leases::extend_leases;

/// The time between two extensions. Two may fail before a lease expires.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(10);

/// Extends until the last outcome is settled: jobs that end while the worker stops need their
/// leases too.
pub(super) async fn heartbeat_loop(shared: Arc<Shared>) {
    let mut ticks = tokio::time::interval(HEARTBEAT_INTERVAL);
    // The first tick completes immediately, and there is nothing to extend yet.
    ticks.tick().await;
    loop {
        tokio::select! {
            biased;
            () = shared.settled.cancelled() => return,
            // By the monotonic clock, so that a wall clock that is set does not delay a heartbeat.
            _ = ticks.tick() => {}
        }
        // A failure is retried with the next tick, which comes before the lease expires.
        extend_leases(&shared).await;
    }
}
