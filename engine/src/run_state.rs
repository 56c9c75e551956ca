//! Whether this process still accepts webhooks: it does until it drains, or until its store or its
//! worker has failed. One value, shared by the engine, the ingest pipeline and the worker, so that
//! each of them can report a failure without knowing the others.

use std::sync::atomic::{AtomicBool, Ordering};

use hookward_core::store::StoreError;
use tokio_util::sync::CancellationToken;

use crate::telemetry;

/// The state of the process: running, draining, or failed. A failed process also drains. There is
/// no way back: recovery is the work of a new process.
#[derive(Debug, Default)]
pub(crate) struct RunState {
    draining: AtomicBool,
    failed: CancellationToken,
}

impl RunState {
    /// Stops accepting webhooks.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Whether webhooks are no longer accepted.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Marks the process as failed: it drains, and [`Self::until_failed`] completes.
    pub(crate) fn fail(&self) {
        self.drain();
        self.failed.cancel();
    }

    /// Completes when the process has failed.
    pub(crate) async fn until_failed(&self) {
        self.failed.cancelled().await;
    }

    /// Logs a failed call of the store. An error from which the store cannot recover fails the
    /// process.
    pub(crate) fn report_store_error(&self, operation: &'static str, error: &StoreError) {
        telemetry::log_store_error(operation, &error.to_string());
        // A shutdown drains first and closes the store last. A store that is closed without a drain
        // has ended by itself, so nothing more can be stored.
        let closed_by_itself = matches!(error, StoreError::Closed) && !self.is_draining();
        if closed_by_itself || matches!(error, StoreError::Failed(_)) {
            self.fail();
        }
    }
}
