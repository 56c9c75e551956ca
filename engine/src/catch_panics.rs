//! Between the engine and its store, so that everyone who asks it goes through here: a call that panics is
//! a call that failed, and nobody knows whether it took effect. Put around the store by
//! [`Engine::with_keys`](crate::Engine::with_keys).
//!
//! Whoever waited does then what it does after any failed call: a sender gets 503, a loop of the worker
//! asks again after its pause, an outcome is kept. What the panic said is not passed on: it may quote
//! what was to be stored.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use async_trait::async_trait;
use hookward_core::store::{
    Acceptance, Browse, Claim, Cursor, Depth, EventDetail, EventPage, Filter, Job, JobOutcome,
    Lease, NewDelivery, Purge, ReplayJob, Settled, StoreError,
};
use hookward_core::{EventId, Store, Timestamp};

use crate::telemetry;

/// A store of which no panic comes out.
#[derive(Debug)]
pub(crate) struct CatchPanics(Arc<dyn Store>);

impl CatchPanics {
    pub(crate) fn over(store: Arc<dyn Store>) -> Arc<dyn Store> {
        Arc::new(Self(store))
    }

    fn browsing(&self) -> Result<&dyn Browse, StoreError> {
        let gone = || StoreError::Unavailable("it does not list events any more".to_owned());
        self.0.browse().ok_or_else(gone)
    }
}

/// Making the future is part of the call, so it is made in here. A future that panicked is not polled
/// again.
async fn call<T>(
    operation: &'static str,
    asked: impl Future<Output = Result<T, StoreError>> + Send,
) -> Result<T, StoreError> {
    let mut asked = pin!(asked);
    poll_fn(|cx| {
        at_once(operation, || asked.as_mut().poll(cx)).unwrap_or_else(|| {
            let words = format!("`{operation}` panicked, and may have taken effect");
            Poll::Ready(Err(StoreError::Unavailable(words)))
        })
    })
    .await
}

/// `None`: it panicked, which is told.
fn at_once<T>(operation: &'static str, act: impl FnOnce() -> T) -> Option<T> {
    let done = catch_unwind(AssertUnwindSafe(act)).ok();
    if done.is_none() {
        telemetry::store_panicked(operation);
    }
    done
}

#[async_trait]
impl Store for CatchPanics {
    async fn accept(&self, deliveries: Vec<NewDelivery>) -> Result<Vec<Acceptance>, StoreError> {
        call("accept", async { self.0.accept(deliveries).await }).await
    }

    async fn claim(&self, want: Claim) -> Result<Vec<Job>, StoreError> {
        call("claim", async { self.0.claim(want).await }).await
    }

    async fn settle(&self, outcomes: Vec<JobOutcome>) -> Result<Vec<Settled>, StoreError> {
        call("settle", async { self.0.settle(outcomes).await }).await
    }

    async fn extend(
        &self,
        leases: Vec<Lease>,
        until: Timestamp,
    ) -> Result<Vec<Settled>, StoreError> {
        call("extend", async { self.0.extend(leases, until).await }).await
    }

    async fn purge(&self, what: Purge) -> Result<u64, StoreError> {
        call("purge", async { self.0.purge(what).await }).await
    }

    async fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        call("next_due", async { self.0.next_due().await }).await
    }

    async fn depth(&self) -> Result<Depth, StoreError> {
        call("depth", async { self.0.depth().await }).await
    }

    async fn check(&self) -> Result<(), StoreError> {
        call("check", async { self.0.check().await }).await
    }

    async fn close(&self) {
        let closing = async {
            self.0.close().await;
            Ok(())
        };
        // The process ends; what was acknowledged is durable without it.
        let _ = call("close", closing).await;
    }

    /// A store that cannot say so is none.
    fn durable(&self) -> bool {
        at_once("durable", || self.0.durable()).unwrap_or(false)
    }

    /// A store that panics here does so in each call, too, and those say that it failed.
    fn browse(&self) -> Option<&dyn Browse> {
        at_once("browse", || self.0.browse().is_some()).unwrap_or(true).then_some(self)
    }
}

#[async_trait]
impl Browse for CatchPanics {
    async fn list(
        &self,
        filter: &Filter,
        limit: usize,
        after: Option<Cursor>,
    ) -> Result<EventPage, StoreError> {
        call("list", async { self.browsing()?.list(filter, limit, after).await }).await
    }

    async fn show(&self, id: EventId) -> Result<Option<EventDetail>, StoreError> {
        call("show", async { self.browsing()?.show(id).await }).await
    }

    async fn find(&self, event_id: &str, limit: usize) -> Result<Vec<EventId>, StoreError> {
        call("find", async { self.browsing()?.find(event_id, limit).await }).await
    }

    async fn replay(&self, now: Timestamp, jobs: Vec<ReplayJob>) -> Result<usize, StoreError> {
        call("replay", async { self.browsing()?.replay(now, jobs).await }).await
    }
}
