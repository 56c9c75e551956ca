//! Tasks of the worker. A panic in one of them is a bug of the engine, and would leave work undone
//! without anyone noticing: no more claims, a slot that is never released, a lease that is extended
//! for ever. So it fails the process, as a failed store does, and a new process recovers what was
//! running.

use std::future::Future;
use std::sync::Arc;

use tokio::task::JoinHandle;

use crate::run_state::RunState;
use crate::telemetry;

/// Held by a task while it runs; fails the process where it is dropped by a panic.
struct PanicGuard {
    run_state: Arc<RunState>,
    task: &'static str,
}

impl Drop for PanicGuard {
    fn drop(&mut self) {
        // A task that ends, is aborted, or goes with its runtime drops the guard too, without
        // unwinding.
        if std::thread::panicking() {
            telemetry::log_worker_panic(self.task);
            // The panic unwinds into tokio, which only stores it in a handle that nobody awaits.
            self.run_state.fail();
        }
    }
}

/// Spawns a task whose panic fails the process. `task` names it in the log.
pub(super) fn spawn(
    run_state: &Arc<RunState>,
    task: &'static str,
    work: impl Future<Output = ()> + Send + 'static,
) -> JoinHandle<()> {
    let guard = PanicGuard { run_state: run_state.clone(), task };
    tokio::spawn(async move {
        // Moved into the task, which drops it when it ends, however it ends.
        let _guard = guard;
        work.await;
    })
}
