//! The settle loop: stores how attempts ended, many in one call.

use std::sync::Arc;
use std::time::Duration;

use hookward_core::store::{JobOutcome, Settled, Settlement, StoreError};
use tokio::sync::mpsc::UnboundedReceiver;

use super::{RouteOutcome, Shared};
use crate::telemetry;

/// The most outcomes in one call of the store.
const MAX_SETTLE_BATCH: usize = 256;
/// The pause after the first failed call of the store; it doubles with each further one.
const MIN_RETRY_PAUSE: Duration = Duration::from_millis(50);
/// The longest pause between two calls while the store fails.
const MAX_RETRY_PAUSE: Duration = Duration::from_secs(2);

/// Settles until the channel is closed and empty, which is after the last running job.
pub(super) async fn settle_loop(
    shared: Arc<Shared>,
    mut outcomes: UnboundedReceiver<RouteOutcome>,
) {
    let mut batch = Vec::new();
    // Takes what has gathered during the last call, so that batches grow with the load.
    while outcomes.recv_many(&mut batch, MAX_SETTLE_BATCH).await > 0 {
        settle_batch(&shared, &mut batch).await;
    }
    shared.settled.cancel();
}

/// Stores a batch and removes its jobs from the running ones.
async fn settle_batch(shared: &Shared, batch: &mut Vec<RouteOutcome>) {
    let answers = store_batch(shared, batch).await;
    for ((route, outcome), settled) in batch.drain(..).zip(answers) {
        // Only now: until its outcome is stored, a job's lease must be extended.
        shared.running.remove(outcome.lease);
        record_settlement(&route, &outcome, settled);
    }
    // A settled job may free the next job of its order key.
    shared.progress.notify_one();
}

/// Calls the store until it takes the batch. An outcome that is dropped runs its step again, so
/// this gives up only where the store takes nothing any more, or where the worker must end.
async fn store_batch(shared: &Shared, batch: &[RouteOutcome]) -> Vec<Settled> {
    let mut pause = MIN_RETRY_PAUSE;
    loop {
        // Cloned, because the store may fail and need them again; bodies are shared, not copied.
        let outcomes = batch.iter().map(|(_, outcome)| outcome.clone()).collect();
        let error = match shared.engine.store().settle(outcomes).await {
            Ok(answers) => return answers,
            Err(error) => error,
        };
        shared.engine.run_state().report_store_error("settle", &error);
        // A new process finds these jobs running and runs them again.
        let failed_for_good = matches!(error, StoreError::Failed(_) | StoreError::Closed);
        if failed_for_good || shared.abandon.is_cancelled() {
            // Stale: nothing of it is stored, and it is not counted as done.
            return vec![Settled::Stale; batch.len()];
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(MAX_RETRY_PAUSE);
    }
}

/// Counts and logs a settled attempt.
fn record_settlement(route: &str, outcome: &JobOutcome, settled: Settled) {
    // The job has another owner, who reports how it ends.
    if settled == Settled::Stale {
        telemetry::count_job(route, "stale");
        return;
    }
    match &outcome.settlement {
        Settlement::Done => telemetry::count_job(route, "done"),
        Settlement::Retry { .. } => telemetry::count_job(route, "retry"),
        Settlement::Dead { reason, .. } => {
            telemetry::count_job(route, "dead");
            telemetry::log_dead_letter(route, outcome.lease.job, reason);
        }
        Settlement::Released { .. } => telemetry::count_job(route, "released"),
        Settlement::Unrouted => telemetry::count_job(route, "unrouted"),
    }
}
