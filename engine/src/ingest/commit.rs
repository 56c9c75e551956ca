//! Stage 5, commit: one delivery into the store, bounded in number and in time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hookward_core::store::{Acceptance, NewDelivery};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::Ingest;
use super::body_budget::{BodyBudget, ReadBody};
use super::rejection::Rejection;
use super::source_rate::RateReservation;
use crate::telemetry;

/// How long a sender waits for the commit before it gets 503. Should the commit succeed after all,
/// the sender's retry is a duplicate, not a loss.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(2);

/// How many deliveries may wait for the store. Further senders get 503 immediately and before their
/// bodies are read: an answer after the sender's own timeout is worth nothing. Less than the queue
/// of the embedded store, so that deliveries never displace the worker's calls.
const MAX_WAITING_COMMITS: usize = 2048;

/// Permits to wait for the store, one for each delivery.
#[derive(Debug)]
pub(super) struct CommitPermits {
    permits: Arc<Semaphore>,
    /// How many commits have taken longer than [`COMMIT_TIMEOUT`] and are still under way.
    stalled: Arc<AtomicUsize>,
}

impl Default for CommitPermits {
    fn default() -> Self {
        Self { permits: Arc::new(Semaphore::new(MAX_WAITING_COMMITS)), stalled: Arc::default() }
    }
}

impl CommitPermits {
    /// Rejects while no permit is free. It takes none: a request holds one only while it commits.
    pub(super) fn check_free(&self) -> Result<(), Rejection> {
        if self.permits.available_permits() == 0 { Err(Rejection::QueueFull) } else { Ok(()) }
    }

    /// Whether a commit has exceeded its timeout and the store still has not answered it.
    pub(super) fn has_stalled_commits(&self) -> bool {
        // Relaxed: a health check may be a moment late, and nothing else reads the count.
        self.stalled.load(Ordering::Relaxed) > 0
    }

    fn try_acquire(&self) -> Result<OwnedSemaphorePermit, Rejection> {
        // Fails instead of waiting: capacity was free before the body was read, so a full queue now
        // means that many requests arrived together, and the last of them would wait in vain.
        self.permits.clone().try_acquire_owned().map_err(|_| Rejection::QueueFull)
    }
}

impl Ingest {
    /// Stores one delivery. Returns when it is durable, or when it is known to be a duplicate of
    /// one that is.
    ///
    /// The call of the store goes on where the sender disconnects or its time is up: the store
    /// holds the bytes until it has answered, so permit and budget are held until then, too.
    pub(super) async fn commit<B: ReadBody>(
        &self,
        mut delivery: NewDelivery,
        mut budget: BodyBudget<B>,
        rate: RateReservation,
    ) -> Result<Acceptance, Rejection> {
        // Before the delivery waits: from here on its memory lasts as long as the store needs.
        budget.count_parsed_json(&mut delivery.body);
        let permit = self.commit_permits.try_acquire()?;
        let (store, work) = (self.store.clone(), self.work.clone());
        let stalled = self.commit_permits.stalled.clone();
        let has_jobs = delivery.events.iter().any(|event| !event.jobs.is_empty());
        // A task of its own: this future is dropped when the sender disconnects, and a delivery
        // that the store has accepted must still wake the worker.
        let committing = tokio::spawn(async move {
            let mut accepting = store.accept(vec![delivery]);
            let answered = match timeout(COMMIT_TIMEOUT, accepting.as_mut()).await {
                Ok(answered) => answered,
                // Counted, and still awaited: the answer decides whether the worker is woken, and
                // the store holds the bytes until it comes.
                Err(_) => {
                    stalled.fetch_add(1, Ordering::Relaxed);
                    let answered = accepting.await;
                    stalled.fetch_sub(1, Ordering::Relaxed);
                    answered
                }
            };
            // The store no longer holds the bytes. Released before the sender is answered, so that
            // its next request finds memory and a permit.
            drop((budget, permit));
            // A duplicate has queued nothing and spends no rate. Without the signal, a job would wait
            // for the next poll.
            if matches!(answered.as_deref(), Ok([Acceptance::Accepted { .. }])) {
                rate.spend();
                if has_jobs {
                    work.notify_one();
                }
            }
            answered
        });
        match timeout(COMMIT_TIMEOUT, committing).await {
            // One delivery was passed. A store without an acceptance for it breaks its contract,
            // and the sender tries again.
            Ok(Ok(Ok(mut acceptances))) => acceptances.pop().ok_or(Rejection::StoreSlow),
            Ok(Ok(Err(error))) => {
                self.run_state.report_store_error("accept", &error);
                Err(Rejection::Store(error))
            }
            // Cancelled: the runtime is shutting down. A panic of the store is an error by now.
            Ok(Err(_)) => {
                telemetry::log_store_error("accept", "the call was cancelled");
                Err(Rejection::StoreSlow)
            }
            // Not a failure of the store: the commit may still succeed, and the health check
            // reports it.
            Err(_) => {
                telemetry::log_store_error("accept", "no commit within 2 s");
                Err(Rejection::StoreSlow)
            }
        }
    }
}
