//! The `memory:` store against the store kit's model, and stores with one flaw each that the model
//! must detect.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use hookward_core::store::{
    Acceptance, Browse, ClaimRequest, Job, JobId, JobOutcome, Lease, NewDelivery, PurgeRequest,
    QueueDepth, RetentionState, Settled, Settlement, StoreError,
};
use hookward_core::{Store, Timestamp};
use hookward_engine::memory::MemoryStore;
use hookward_testkit::store::Subject;
use hookward_testkit::store::model::{ModelOptions, check, find};

struct Memory;

#[async_trait]
impl Subject for Memory {
    async fn open(&self, _now: Timestamp) -> Arc<dyn Store> {
        Arc::new(MemoryStore::new())
    }
}

#[test]
fn the_memory_store_agrees_with_the_model_in_any_order_of_calls() {
    check(|| Memory);
}

/// One way in which a store breaks its contract.
#[derive(Debug, Clone, Copy)]
enum Flaw {
    /// A stale lease of a job is accepted like its current one.
    NoFencing,
    /// Dedupe keys are not stored.
    NoDedupeKeys,
    /// Order keys are not stored.
    NoOrderKeys,
    /// A retry is due immediately.
    RetriesImmediately,
    /// The step at which a retry resumes is not stored.
    RestartsChain,
    /// A purge removes one event more than its limit.
    PurgesTooMuch,
}

#[derive(Debug)]
struct Flawed {
    flaw: Flaw,
    inner: MemoryStore,
    current: Mutex<HashMap<JobId, Lease>>,
}

struct FlawedSubject(Flaw);

#[async_trait]
impl Subject for FlawedSubject {
    async fn open(&self, _now: Timestamp) -> Arc<dyn Store> {
        let (inner, current) = (MemoryStore::new(), Mutex::default());
        Arc::new(Flawed { flaw: self.0, inner, current })
    }
}

impl Flawed {
    fn corrupt(&self, outcome: &mut JobOutcome) {
        match (self.flaw, &mut outcome.settlement) {
            (Flaw::NoFencing, _) => {
                let current = self.current.lock().unwrap();
                outcome.lease = current.get(&outcome.lease.job).copied().unwrap_or(outcome.lease);
            }
            (Flaw::RetriesImmediately, Settlement::Retry { at, .. }) => *at = Timestamp::default(),
            (Flaw::RestartsChain, Settlement::Retry { step, .. }) => *step = None,
            _ => {}
        }
    }
}

#[async_trait]
impl Store for Flawed {
    async fn accept(
        &self,
        mut deliveries: Vec<NewDelivery>,
    ) -> Result<Vec<Acceptance>, StoreError> {
        for event in deliveries.iter_mut().flat_map(|d| &mut d.events) {
            match self.flaw {
                Flaw::NoDedupeKeys => event.keys.clear(),
                Flaw::NoOrderKeys => event.jobs.iter_mut().for_each(|job| job.order_key = None),
                _ => {}
            }
        }
        self.inner.accept(deliveries).await
    }
    async fn claim(&self, want: ClaimRequest) -> Result<Vec<Job>, StoreError> {
        let jobs = self.inner.claim(want).await?;
        self.current.lock().unwrap().extend(jobs.iter().map(|job| (job.lease.job, job.lease)));
        Ok(jobs)
    }
    async fn settle(&self, mut outcomes: Vec<JobOutcome>) -> Result<Vec<Settled>, StoreError> {
        outcomes.iter_mut().for_each(|outcome| self.corrupt(outcome));
        self.inner.settle(outcomes).await
    }
    async fn extend(
        &self,
        leases: Vec<Lease>,
        until: Timestamp,
    ) -> Result<Vec<Settled>, StoreError> {
        self.inner.extend(leases, until).await
    }
    async fn purge(&self, mut what: PurgeRequest) -> Result<u64, StoreError> {
        what.limit += usize::from(matches!(self.flaw, Flaw::PurgesTooMuch));
        self.inner.purge(what).await
    }
    async fn retention_state(&self) -> Result<Option<RetentionState>, StoreError> {
        self.inner.retention_state().await
    }
    async fn save_retention_state(&self, state: RetentionState) -> Result<(), StoreError> {
        self.inner.save_retention_state(state).await
    }
    async fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        self.inner.next_due().await
    }
    async fn depth(&self) -> Result<QueueDepth, StoreError> {
        self.inner.depth().await
    }
    async fn check(&self) -> Result<(), StoreError> {
        self.inner.check().await
    }
    async fn close(&self) {
        self.inner.close().await;
    }
    fn durable(&self) -> bool {
        false
    }
    fn browse(&self) -> Option<&dyn Browse> {
        self.inner.browse()
    }
}

#[test]
fn the_model_detects_each_flaw() {
    use Flaw::{
        NoDedupeKeys, NoFencing, NoOrderKeys, PurgesTooMuch, RestartsChain, RetriesImmediately,
    };
    for flaw in
        [NoFencing, NoDedupeKeys, NoOrderKeys, RetriesImmediately, RestartsChain, PurgesTooMuch]
    {
        for seed in 1..=3 {
            let options = ModelOptions { cases: 100, steps: 60, seed };
            let found = find(|| FlawedSubject(flaw), options);
            assert!(found.is_err(), "the model did not detect {flaw:?} with seed {seed}");
        }
    }
}
