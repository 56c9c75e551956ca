//! A wrapper around the store in which a call that panics is a call that failed. It is unknown
//! whether such a call took effect. [`Engine::with_keys`](crate::Engine::with_keys) puts it around
//! every store, so that no caller can bypass it.
//!
//! The caller then does what it does after any failed call: a sender gets 503, a loop of the worker
//! tries again after its pause, an outcome is settled again. The message of a panic is dropped,
//! because it may quote what was to be stored.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use async_trait::async_trait;
use hookward_core::store::{
    Acceptance, Browse, ClaimRequest, EventDetail, EventFilter, EventPage, Job, JobOutcome, Lease,
    NewDelivery, PageCursor, PurgeRequest, QueueDepth, ReplayJob, RetentionState, Settled,
    StoreError,
};
use hookward_core::{EventId, Store, Timestamp};

use crate::telemetry;

/// A store whose calls return an error instead of panicking.
#[derive(Debug)]
pub(crate) struct CatchPanics(Arc<dyn Store>);

impl CatchPanics {
    /// Wraps a store.
    pub(crate) fn around(store: Arc<dyn Store>) -> Arc<dyn Store> {
        Arc::new(Self(store))
    }

    fn browsable(&self) -> Result<&dyn Browse, StoreError> {
        let missing = || StoreError::Unavailable("it does not list events any more".to_owned());
        self.0.browse().ok_or_else(missing)
    }
}

/// Runs one call. The future is made inside `call`, because a store may panic while it makes it. A
/// future that panicked is not polled again.
async fn catch<T>(
    operation: &'static str,
    call: impl Future<Output = Result<T, StoreError>> + Send,
) -> Result<T, StoreError> {
    let mut call = pin!(call);
    poll_fn(|cx| {
        catch_now(operation, || call.as_mut().poll(cx)).unwrap_or_else(|| {
            let reason = format!("`{operation}` panicked, and may have taken effect");
            Poll::Ready(Err(StoreError::Unavailable(reason)))
        })
    })
    .await
}

/// Runs a function; returns `None` and logs where it panics.
fn catch_now<T>(operation: &'static str, function: impl FnOnce() -> T) -> Option<T> {
    // Unwind safe: a store that panicked may be inconsistent, and its own next call must detect
    // that.
    let result = catch_unwind(AssertUnwindSafe(function)).ok();
    if result.is_none() {
        telemetry::log_store_panic(operation);
    }
    result
}

#[async_trait]
impl Store for CatchPanics {
    async fn accept(&self, deliveries: Vec<NewDelivery>) -> Result<Vec<Acceptance>, StoreError> {
        catch("accept", async { self.0.accept(deliveries).await }).await
    }

    async fn claim(&self, want: ClaimRequest) -> Result<Vec<Job>, StoreError> {
        catch("claim", async { self.0.claim(want).await }).await
    }

    async fn settle(&self, outcomes: Vec<JobOutcome>) -> Result<Vec<Settled>, StoreError> {
        catch("settle", async { self.0.settle(outcomes).await }).await
    }

    async fn extend(
        &self,
        leases: Vec<Lease>,
        until: Timestamp,
    ) -> Result<Vec<Settled>, StoreError> {
        catch("extend", async { self.0.extend(leases, until).await }).await
    }

    async fn purge(&self, what: PurgeRequest) -> Result<u64, StoreError> {
        catch("purge", async { self.0.purge(what).await }).await
    }

    async fn retention_state(&self) -> Result<Option<RetentionState>, StoreError> {
        catch("retention_state", async { self.0.retention_state().await }).await
    }

    async fn save_retention_state(&self, state: RetentionState) -> Result<(), StoreError> {
        catch("save_retention_state", async { self.0.save_retention_state(state).await }).await
    }

    async fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        catch("next_due", async { self.0.next_due().await }).await
    }

    async fn depth(&self) -> Result<QueueDepth, StoreError> {
        catch("depth", async { self.0.depth().await }).await
    }

    async fn check(&self) -> Result<(), StoreError> {
        catch("check", async { self.0.check().await }).await
    }

    async fn close(&self) {
        let closing = async {
            self.0.close().await;
            Ok(())
        };
        // Nothing is lost by a failed close: what was acknowledged is durable already.
        let _ = catch("close", closing).await;
    }

    /// A store that panics here is reported as not durable, the cautious answer.
    fn durable(&self) -> bool {
        catch_now("durable", || self.0.durable()).unwrap_or(false)
    }

    /// A store that panics here does so in each of its calls too, so `browse` is offered and they
    /// fail.
    fn browse(&self) -> Option<&dyn Browse> {
        catch_now("browse", || self.0.browse().is_some()).unwrap_or(true).then_some(self)
    }
}

#[async_trait]
impl Browse for CatchPanics {
    async fn list(
        &self,
        filter: &EventFilter,
        limit: usize,
        after: Option<PageCursor>,
    ) -> Result<EventPage, StoreError> {
        catch("list", async { self.browsable()?.list(filter, limit, after).await }).await
    }

    async fn show(&self, id: EventId) -> Result<Option<EventDetail>, StoreError> {
        catch("show", async { self.browsable()?.show(id).await }).await
    }

    async fn find(&self, event_id: &str, limit: usize) -> Result<Vec<EventId>, StoreError> {
        catch("find", async { self.browsable()?.find(event_id, limit).await }).await
    }

    async fn replay(&self, now: Timestamp, jobs: Vec<ReplayJob>) -> Result<usize, StoreError> {
        catch("replay", async { self.browsable()?.replay(now, jobs).await }).await
    }
}
