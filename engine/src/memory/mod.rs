//! `memory:`, the store for trying things out and for tests: everything the contract of a store
//! promises except that it outlives the process. The other stores are measured against it. Opened
//! by name through the registry, or made with [`MemoryStore::new`].

mod browse;
mod lease;
mod rows;
mod state;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use hookward_core::plugin::{BuildError, OpenCx, OpenFuture, StoreConfig};
use hookward_core::store::{
    Acceptance, Browse, Claim, Depth, Job, JobOutcome, Lease, NewDelivery, Purge, Settled, Store,
    StoreError,
};
use hookward_core::{Timestamp, register_store};

use state::State;

/// `memory:` in routes.yaml.
#[derive(Debug)]
pub struct Memory;

impl StoreConfig for Memory {
    const NAME: &'static str = "memory";
    const SUMMARY: &'static str =
        "Keeps events in memory, until the process ends; for trying out and tests";
    const URL: &'static str = "memory:";

    fn check(rest: &str) -> Result<(), BuildError> {
        match rest {
            "" => Ok(()),
            _ => Err(BuildError::at(
                "",
                format!("`memory:` takes nothing after the colon, found `{rest}`"),
            )
            .help("write `store: memory`, or `store: sqlite:PATH` to keep events in a file")),
        }
    }

    fn open(_rest: String, _cx: OpenCx) -> OpenFuture {
        Box::pin(async { Ok(Arc::new(MemoryStore::new()) as Arc<dyn Store>) })
    }
}

register_store!(Memory);

/// A store that forgets everything when the process ends.
#[derive(Debug)]
pub struct MemoryStore {
    /// `None` once it is closed. Locked for moments only, never across an await.
    state: Mutex<Option<State>>,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryStore {
    /// An empty one.
    pub fn new() -> Self {
        Self { state: Mutex::new(Some(State::default())) }
    }

    /// Does one thing while nobody else does another.
    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> Result<T, StoreError> {
        self.lock().as_mut().map(act).ok_or(StoreError::Closed)
    }

    fn lock(&self) -> MutexGuard<'_, Option<State>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn accept(&self, deliveries: Vec<NewDelivery>) -> Result<Vec<Acceptance>, StoreError> {
        self.with(|s| deliveries.into_iter().map(|d| s.accept(d)).collect())
    }

    async fn claim(&self, want: Claim) -> Result<Vec<Job>, StoreError> {
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

    async fn purge(&self, what: Purge) -> Result<u64, StoreError> {
        self.with(|s| s.purge(what))
    }

    async fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        self.with(|s| s.next_due())
    }

    async fn depth(&self) -> Result<Depth, StoreError> {
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
