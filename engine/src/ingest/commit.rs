//! The way into the store: bounded in number and in time. Called once for each proven delivery.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hookward_core::store::{Acceptance, NewDelivery};
use tokio::sync::Semaphore;

use crate::engine::Engine;
use crate::ingest::ReadBody;
use crate::ingest::rejection::Rejection;
use crate::telemetry;

/// A commit that takes longer is answered with 503; should it land after all, the sender's retry is
/// a duplicate, not a loss.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(2);

/// So many deliveries may wait for the store. Beyond that senders are told to come back, at once and
/// before their bodies are read: an answer after their own timeout is worth nothing. Fewer than what
/// the embedded store queues, so that deliveries cannot take the place of the workers' calls.
const WAITING: usize = 2048;

/// Places in the queue to the store.
#[derive(Debug, Clone)]
pub(crate) struct CommitPermits {
    places: Arc<Semaphore>,
    /// So many have waited for longer than a commit may take.
    late: Arc<AtomicUsize>,
}

impl Default for CommitPermits {
    fn default() -> Self {
        Self { places: Arc::new(Semaphore::new(WAITING)), late: Arc::default() }
    }
}

impl CommitPermits {
    /// Whether there is a place now.
    pub(crate) fn has_room(&self) -> Result<(), Rejection> {
        if self.places.available_permits() == 0 { Err(Rejection::QueueFull) } else { Ok(()) }
    }

    /// Whether the store has left someone without an answer, and still does.
    pub(crate) fn are_late(&self) -> bool {
        self.late.load(Ordering::Relaxed) > 0
    }
}

impl Engine {
    /// Stores one delivery. What is asked of the store runs on where the sender goes away or its
    /// time is up: the store has the bytes as long as it has not answered, so that long they count
    /// as waiting and as memory that is taken.
    pub(super) async fn store_one(
        &self,
        delivery: NewDelivery,
        incoming: impl ReadBody,
    ) -> Result<Acceptance, Rejection> {
        let place =
            self.waiting.places.clone().try_acquire_owned().map_err(|_| Rejection::QueueFull)?;
        let (store, work) = (self.store().clone(), self.work.clone());
        let has_work = delivery.events.iter().any(|event| !event.jobs.is_empty());
        let late = self.waiting.late.clone();
        let storing = tokio::spawn(async move {
            let mut accepting = store.accept(vec![delivery]);
            let stored = match tokio::time::timeout(COMMIT_TIMEOUT, accepting.as_mut()).await {
                Ok(stored) => stored,
                Err(_) => {
                    late.fetch_add(1, Ordering::Relaxed);
                    let stored = accepting.await;
                    late.fetch_sub(1, Ordering::Relaxed);
                    stored
                }
            };
            drop((incoming, place));
            // Also where nobody waits for the answer any more.
            if has_work && matches!(stored.as_deref(), Ok([Acceptance::Accepted { .. }])) {
                work.notify_one();
            }
            stored
        });
        match tokio::time::timeout(COMMIT_TIMEOUT, storing).await {
            Ok(Ok(Ok(mut answers))) => answers.pop().ok_or(Rejection::StoreSlow),
            Ok(Ok(Err(e))) => {
                self.store_failed("accept", &e);
                Err(Rejection::Store(e))
            }
            // Not by the store, whose panics are failures: the runtime is going down.
            Ok(Err(_)) => {
                telemetry::store_failed("accept", "the call was broken off");
                Err(Rejection::StoreSlow)
            }
            Err(_) => {
                telemetry::store_failed("accept", "no commit within 2 s");
                Err(Rejection::StoreSlow)
            }
        }
    }
}
