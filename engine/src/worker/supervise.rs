//! Tasks of the worker. A panic in one of them is a bug of the engine, and would leave work undone without
//! anyone noticing: no more claims, a slot that is never released, a lease that is extended for ever. So it
//! fails the process, as a failed store does, and a new process recovers what was running.

use std::future::Future;
use std::sync::Arc;

use tokio::task::JoinHandle;

use crate::lifecycle::Lifecycle;
use crate::telemetry;

/// Held by a task while it runs; fails the process where it is dropped by a panic.
struct PanicGuard {
    lifecycle: Arc<Lifecycle>,
    task: &'static str,
}

impl Drop for PanicGuard {
    fn drop(&mut self) {
        // A task that ends, is aborted, or goes with its runtime drops the guard too, without unwinding.
        if std::thread::panicking() {
            telemetry::log_worker_panic(self.task);
            self.lifecycle.fail();
        }
    }
}

/// Spawns a task whose panic fails the process. `task` names it in the log.
pub(super) fn spawn(
    lifecycle: &Arc<Lifecycle>,
    task: &'static str,
    work: impl Future<Output = ()> + Send + 'static,
) -> JoinHandle<()> {
    let guard = PanicGuard { lifecycle: lifecycle.clone(), task };
    tokio::spawn(async move {
        let _guard = guard;
        work.await;
    })
}
