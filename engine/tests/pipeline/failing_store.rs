//! A memory store that a test makes unavailable, slow, failing or panicking.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

use super::*;

#[derive(Debug, Default)]
pub(super) struct FailingStore {
    inner: MemoryStore,
    error: Mutex<Option<StoreError>>,
    hangs: AtomicBool,
    panics: AtomicBool,
    ignores_extensions: AtomicBool,
    released: Notify,
}

impl FailingStore {
    /// Makes accept, claim, settle and check return this error.
    pub(super) fn fail_with(&self, error: StoreError) {
        *self.error.lock().unwrap() = Some(error);
    }

    /// Ends what [`Self::fail_with`] began.
    pub(super) fn recover(&self) {
        *self.error.lock().unwrap() = None;
    }

    /// Makes accept, claim, settle and check wait for [`Self::release_calls`].
    pub(super) fn set_hanging(&self, hangs: bool) {
        self.hangs.store(hangs, Ordering::SeqCst);
    }

    /// Lets the calls that hang now go on.
    pub(super) fn release_calls(&self) {
        self.released.notify_waiters();
    }

    /// Makes every call panic.
    pub(super) fn set_panicking(&self, panics: bool) {
        self.panics.store(panics, Ordering::SeqCst);
    }

    /// Makes `extend` report success without extending any lease.
    pub(super) fn set_ignoring_extensions(&self, ignores: bool) {
        self.ignores_extensions.store(ignores, Ordering::SeqCst);
    }

    fn maybe_panic(&self) {
        assert!(!self.panics.load(Ordering::SeqCst), "a secret of the sender");
    }

    async fn maybe_fail(&self) -> Result<(), StoreError> {
        self.maybe_panic();
        if self.hangs.load(Ordering::SeqCst) {
            self.released.notified().await;
        }
        self.error.lock().unwrap().clone().map_or(Ok(()), Err)
    }
}

#[async_trait]
impl Store for FailingStore {
    async fn accept(&self, deliveries: Vec<NewDelivery>) -> Result<Vec<Acceptance>, StoreError> {
        self.maybe_fail().await?;
        self.inner.accept(deliveries).await
    }
    async fn claim(&self, claim: ClaimRequest) -> Result<Vec<Job>, StoreError> {
        self.maybe_fail().await?;
        self.inner.claim(claim).await
    }
    async fn settle(&self, outcomes: Vec<JobOutcome>) -> Result<Vec<Settled>, StoreError> {
        self.maybe_fail().await?;
        self.inner.settle(outcomes).await
    }
    async fn extend(
        &self,
        leases: Vec<Lease>,
        until: Timestamp,
    ) -> Result<Vec<Settled>, StoreError> {
        self.maybe_panic();
        if self.ignores_extensions.load(Ordering::SeqCst) {
            return Ok(vec![Settled::Applied; leases.len()]);
        }
        self.inner.extend(leases, until).await
    }
    async fn purge(&self, batch: PurgeRequest) -> Result<u64, StoreError> {
        self.maybe_panic();
        self.inner.purge(batch).await
    }
    async fn retention_state(&self) -> Result<Option<RetentionState>, StoreError> {
        self.maybe_fail().await?;
        self.inner.retention_state().await
    }
    async fn save_retention_state(&self, state: RetentionState) -> Result<(), StoreError> {
        self.maybe_fail().await?;
        self.inner.save_retention_state(state).await
    }
    async fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        self.maybe_panic();
        self.inner.next_due().await
    }
    async fn depth(&self) -> Result<QueueDepth, StoreError> {
        self.maybe_panic();
        self.inner.depth().await
    }
    async fn check(&self) -> Result<(), StoreError> {
        self.maybe_fail().await
    }
    async fn close(&self) {
        self.maybe_panic();
    }
    fn durable(&self) -> bool {
        self.maybe_panic();
        true
    }
    fn browse(&self) -> Option<&dyn Browse> {
        self.maybe_panic();
        self.inner.browse()
    }
}
