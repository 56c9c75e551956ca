//! The `memory:` store, for trials and tests.
//!
//! It keeps every promise of the store contract except durability: its contents are lost with the
//! process. The store kit compares the other stores with the same model. routes.yaml opens it as
//! `store: memory`; embedders and tests call [`MemoryStore::new`].

mod browse;
mod lease;
mod rows;
mod state;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use hookward_core::plugin::{BuildError, StoreConfig};
use hookward_core::store::{
    Acceptance, Browse, ClaimRequest, Job, JobOutcome, Lease, NewDelivery, OpenCx, OpenFuture,
    PurgeRequest, QueueDepth, RetentionState, Settled, Store, StoreError, StorePolicy,
};
use hookward_core::{Timestamp, register_store};

use state::MemoryState;

/// The store plugin of the name `memory`.
#[derive(Debug)]
pub struct Memory;

impl StoreConfig for Memory {
    const NAME: &'static str = "memory";
    const SUMMARY: &'static str =
        "Keeps events in memory until the process ends; for trials and tests";
    const URL: &'static str = "memory:";

    fn check(rest: &str) -> Result<(), BuildError> {
        match rest {
            "" => Ok(()),
            _ => Err(BuildError::at("", format!("`{rest}` after `memory:` is not allowed"))
                .help("write `store: memory`, or `store: sqlite:PATH` to keep events in a file")),
        }
    }

    fn open(_rest: String, cx: OpenCx) -> OpenFuture {
        Box::pin(async move { Ok(Arc::new(MemoryStore::with_policy(cx.policy)) as Arc<dyn Store>) })
    }
}

register_store!(Memory);

/// A store whose contents are lost when it is closed or the process ends.
#[derive(Debug)]
pub struct MemoryStore {
    /// `None` after `close`. The lock is never held across an await.
    state: Mutex<Option<MemoryState>>,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryStore {
    /// Makes an empty store with the engine's [`STORE_POLICY`](crate::STORE_POLICY).
    pub fn new() -> Self {
        Self::with_policy(crate::STORE_POLICY)
    }

    /// Makes an empty store with limits of the caller's choice. The crash limit has no effect: no job
    /// of this store survives the process.
    pub fn with_policy(policy: StorePolicy) -> Self {
        Self { state: Mutex::new(Some(MemoryState::new(policy))) }
    }

    /// Runs an operation under the lock; an error after `close`.
    fn with<T>(&self, act: impl FnOnce(&mut MemoryState) -> T) -> Result<T, StoreError> {
        self.lock().as_mut().map(act).ok_or(StoreError::Closed)
    }

    fn lock(&self) -> MutexGuard<'_, Option<MemoryState>> {
        // A panic under the lock leaves at most one job half changed. Refusing every later call
        // would stop the whole process for it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn accept(&self, deliveries: Vec<NewDelivery>) -> Result<Vec<Acceptance>, StoreError> {
        self.with(|s| deliveries.into_iter().map(|d| s.accept(d)).collect())
    }

    async fn claim(&self, want: ClaimRequest) -> Result<Vec<Job>, StoreError> {
        self.with(|s| s.claim(&want))
    }

    async fn settle(&self, outcomes: Vec<JobOutcome>) -> Result<Vec<Settled>, StoreError> {
        self.with(|s| outcomes.into_iter().map(|o| s.settle(o)).collect())
    }

    async fn extend(
        &self,
        leases: Vec<Lease>,
        until: Timestamp,
    ) -> Result<Vec<Settled>, StoreError> {
        self.with(|s| leases.into_iter().map(|l| s.extend(l, until)).collect())
    }

    async fn purge(&self, what: PurgeRequest) -> Result<u64, StoreError> {
        self.with(|s| s.purge(&what))
    }

    async fn retention_state(&self) -> Result<Option<RetentionState>, StoreError> {
        self.with(|s| s.retention_state)
    }

    async fn save_retention_state(&self, state: RetentionState) -> Result<(), StoreError> {
        self.with(|s| s.retention_state = Some(state))
    }

    async fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        self.with(|s| s.next_due())
    }

    async fn depth(&self) -> Result<QueueDepth, StoreError> {
        self.with(|s| s.depth())
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.with(|_| ())
    }

    async fn close(&self) {
        *self.lock() = None;
    }

    fn durable(&self) -> bool {
        false
    }

    fn browse(&self) -> Option<&dyn Browse> {
        Some(self)
    }
}
