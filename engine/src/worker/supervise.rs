//! Tasks of the worker. One that ends by a panic of our own would leave work undone with nobody to notice:
//! no more claims, a slot that never comes back, a lease that is kept for ever. So it counts as a store
//! that is lost: nothing more is taken in, the process ends, and a new one finds what was running.

use std::future::Future;
use std::sync::Arc;

use tokio::task::JoinHandle;

use crate::engine::Engine;
use crate::telemetry;

/// Held by a task for as long as it runs.
struct Alarm {
    engine: Arc<Engine>,
    task: &'static str,
}

/// A task that ends, is stopped, or goes with its runtime drops this, too, but not while it unwinds.
impl Drop for Alarm {
    fn drop(&mut self) {
        if std::thread::panicking() {
            telemetry::worker_panicked(self.task);
            self.engine.lost();
        }
    }
}

/// Runs it; a panic in it is not silent.
pub(super) fn spawn(
    engine: &Arc<Engine>,
    task: &'static str,
    work: impl Future<Output = ()> + Send + 'static,
) -> JoinHandle<()> {
    let alarm = Alarm { engine: engine.clone(), task };
    tokio::spawn(async move {
        let _alarm = alarm;
        work.await;
    })
}
