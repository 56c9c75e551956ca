//! A wrapper around the real store that makes scripted calls fail. It counts the calls of each
//! operation, and records in a journal which of them took effect, whatever they answered.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use hookward_core::store::{
    Acceptance, Browse, ClaimRequest, EventDetail, EventFilter, EventPage, Job, JobId, JobOutcome,
    Lease, NewDelivery, PageCursor, PurgeRequest, QueueDepth, ReplayJob, RetentionState, Settled,
    Settlement, StoreError,
};
use hookward_core::{EventId, Store, Timestamp};
use tokio::time::Instant;

use crate::sim::SCRIPTED_PANIC;
use crate::sim::journal::{JournalEntry, RELEASED_UNSTARTED, UNROUTED};
use crate::sim::store::lock;

/// Delay of a slow call, longer than a request waits for a commit.
const CALL_DELAY: Duration = Duration::from_secs(3);

/// What a faulty call does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum FaultKind {
    /// It has no effect and returns an error.
    ErrorBefore,
    /// It takes effect and returns an error.
    ErrorAfter,
    /// It has no effect because the disk is full.
    Full,
    /// It has no effect, and the store has failed from then on.
    FailedBefore,
    /// It takes effect, and the store has failed from then on.
    FailedAfter,
    /// The store is closed from this call on, although nobody closed it.
    Closed,
    /// It takes effect after [`CALL_DELAY`].
    Delay,
    /// It panics without effect.
    PanicBefore,
    /// It takes effect and panics.
    PanicAfter,
    /// Canary: `accept` has no effect and reports success.
    FalseAccept,
    /// Canary: the call never returns.
    Hang,
}

impl FaultKind {
    pub(super) const ALL: [Self; 9] = [
        Self::ErrorBefore,
        Self::ErrorAfter,
        Self::Full,
        Self::FailedBefore,
        Self::FailedAfter,
        Self::Closed,
        Self::Delay,
        Self::PanicBefore,
        Self::PanicAfter,
    ];

    /// Returns whether only a new process can use the store afterwards.
    pub(super) fn ends_store(self) -> bool {
        matches!(self, Self::FailedBefore | Self::FailedAfter | Self::Closed)
    }

    fn takes_effect(self) -> bool {
        matches!(self, Self::ErrorAfter | Self::FailedAfter | Self::PanicAfter | Self::Delay)
    }

    /// Returns the error that the call answers, if any; panics for the faults that panic.
    fn error(self) -> Option<StoreError> {
        match self {
            Self::Delay | Self::FalseAccept | Self::Hang => None,
            Self::ErrorBefore => Some(StoreError::Unavailable("the call had no effect".to_owned())),
            Self::ErrorAfter => {
                Some(StoreError::Unavailable("the effect of the call is unknown".to_owned()))
            }
            Self::Full => Some(StoreError::Full("no disk space".to_owned())),
            Self::FailedBefore | Self::FailedAfter => {
                Some(StoreError::Failed("a sync failed".to_owned()))
            }
            Self::Closed => Some(StoreError::Closed),
            Self::PanicBefore | Self::PanicAfter => panic!("{SCRIPTED_PANIC}"),
        }
    }
}

/// Which calls fail, beginning with the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum FaultScope {
    Once,
    /// This call and all later ones of the same operation.
    Operation,
    /// This call and all later ones.
    All,
}

/// A fault and the calls that it affects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FaultPoint {
    pub(super) kind: FaultKind,
    pub(super) scope: FaultScope,
    /// The operation, and which of its calls is the first, from 0. Calls are numbered per operation
    /// because the order between operations differs from run to run.
    pub(super) operation: &'static str,
    pub(super) nth: usize,
}

/// The fault that the store injects, and what the store observed.
#[derive(Debug, Default)]
pub(super) struct Script {
    /// `None` once the faults have ended.
    pub(super) point: Option<FaultPoint>,
    /// The operations of all calls so far.
    pub(super) calls: Vec<&'static str>,
    /// Operations in which a fault was injected.
    pub(super) injected: BTreeSet<&'static str>,
    /// Since when the store has failed or is closed, and the error of all calls from then on.
    pub(super) failed: Option<(Instant, StoreError)>,
    /// Changes that took effect.
    pub(super) journal: Vec<JournalEntry>,
}

/// The wrapper around the real store.
#[derive(Debug)]
pub(super) struct FaultyStore {
    pub(super) inner: Arc<dyn Store>,
    pub(super) script: Arc<Mutex<Script>>,
    /// Serializes calls, so that the journal has the order in which they took effect.
    order: Arc<Mutex<()>>,
}

impl FaultyStore {
    pub(super) fn new(inner: Arc<dyn Store>, script: Arc<Mutex<Script>>) -> Self {
        Self { inner, script, order: Arc::default() }
    }

    /// Counts a call and returns the fault that it has.
    fn next_fault(&self, operation: &'static str) -> Result<Option<FaultKind>, StoreError> {
        let mut script = lock(&self.script);
        let n = script.calls.iter().filter(|call| **call == operation).count();
        script.calls.push(operation);
        if let Some((_, error)) = &script.failed {
            return Err(error.clone());
        }
        let Some(point) = script.point else { return Ok(None) };
        let in_operation = point.operation == operation && n >= point.nth;
        let first = script.injected.is_empty();
        let hit = match point.scope {
            FaultScope::Once => in_operation && first,
            FaultScope::Operation => in_operation,
            FaultScope::All => in_operation || !first,
        };
        if hit {
            script.injected.insert(operation);
        }
        if hit && point.kind.ends_store() {
            script.failed = point.kind.error().map(|error| (Instant::now(), error));
        }
        Ok(hit.then_some(point.kind))
    }

    /// Makes the call, or injects its fault; `journal` returns the entries for what took effect.
    async fn call<T: Send + 'static>(
        &self,
        operation: &'static str,
        call: impl Future<Output = Result<T, StoreError>> + Send + 'static,
        journal: impl FnOnce(&T) -> Vec<JournalEntry> + Send + 'static,
    ) -> Result<T, StoreError> {
        let kind = self.next_fault(operation)?;
        match kind {
            Some(FaultKind::Delay) => tokio::time::sleep(CALL_DELAY).await,
            Some(FaultKind::Hang) => std::future::pending().await,
            _ => {}
        }
        let mut done = None;
        if kind.is_none_or(FaultKind::takes_effect) {
            let (script, order) = (self.script.clone(), self.order.clone());
            // The real store has threads of its own. Simulated time must not advance while they
            // work, and tokio holds it only while a blocking task runs.
            let real = tokio::task::spawn_blocking(move || {
                // Accepts are not in the journal, and must be able to share a commit.
                let _order = (operation != "accept").then(|| lock(&order));
                let done = tokio::runtime::Handle::current().block_on(call)?;
                lock(&script).journal.extend(journal(&done));
                Ok(done)
            });
            done = real.await.ok();
        }
        match kind.and_then(FaultKind::error) {
            Some(error) => Err(error),
            None => done.unwrap_or(Err(StoreError::Closed)),
        }
    }
}

/// Journal entries of an operation that changes nothing the invariants check.
fn no_entries<T>(_: &T) -> Vec<JournalEntry> {
    Vec::new()
}

#[async_trait]
impl Store for FaultyStore {
    async fn accept(&self, deliveries: Vec<NewDelivery>) -> Result<Vec<Acceptance>, StoreError> {
        let is_false =
            lock(&self.script).point.is_some_and(|point| point.kind == FaultKind::FalseAccept);
        if is_false && self.next_fault("accept")?.is_some() {
            return Ok(vec![Acceptance::Accepted { known: 0 }; deliveries.len()]);
        }
        let inner = self.inner.clone();
        self.call("accept", async move { inner.accept(deliveries).await }, no_entries).await
    }

    async fn claim(&self, want: ClaimRequest) -> Result<Vec<Job>, StoreError> {
        let inner = self.inner.clone();
        let claimed = |jobs: &Vec<Job>| {
            let each = jobs.iter().map(|job| job.lease);
            each.map(|lease| JournalEntry::Claimed { lease, overtaken: None, early: false })
                .collect()
        };
        self.call("claim", async move { inner.claim(want).await }, claimed).await
    }

    async fn settle(&self, outcomes: Vec<JobOutcome>) -> Result<Vec<Settled>, StoreError> {
        let (inner, sent) = (self.inner.clone(), outcomes.clone());
        let settled = move |answers: &Vec<Settled>| {
            let each = sent.iter().zip(answers).filter(|(_, s)| **s == Settled::Applied);
            each.map(|(o, _)| JournalEntry::Settled {
                lease: o.lease,
                settlement: settlement_name(o),
            })
            .collect()
        };
        self.call("settle", async move { inner.settle(outcomes).await }, settled).await
    }

    async fn extend(
        &self,
        leases: Vec<Lease>,
        until: Timestamp,
    ) -> Result<Vec<Settled>, StoreError> {
        let (inner, sent) = (self.inner.clone(), leases.clone());
        let extended = move |answers: &Vec<Settled>| {
            let each = sent.iter().zip(answers).filter(|(_, s)| **s == Settled::Applied);
            each.map(|(lease, _)| JournalEntry::Extended(*lease)).collect()
        };
        self.call("extend", async move { inner.extend(leases, until).await }, extended).await
    }

    async fn purge(&self, what: PurgeRequest) -> Result<u64, StoreError> {
        let inner = self.inner.clone();
        self.call("purge", async move { inner.purge(what).await }, no_entries).await
    }

    async fn retention_state(&self) -> Result<Option<RetentionState>, StoreError> {
        let inner = self.inner.clone();
        let call = async move { inner.retention_state().await };
        self.call("retention_state", call, no_entries).await
    }

    async fn save_retention_state(&self, state: RetentionState) -> Result<(), StoreError> {
        let inner = self.inner.clone();
        let call = async move { inner.save_retention_state(state).await };
        self.call("save_retention_state", call, no_entries).await
    }

    async fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        let inner = self.inner.clone();
        self.call("next_due", async move { inner.next_due().await }, no_entries).await
    }

    async fn depth(&self) -> Result<QueueDepth, StoreError> {
        let inner = self.inner.clone();
        self.call("depth", async move { inner.depth().await }, no_entries).await
    }

    async fn check(&self) -> Result<(), StoreError> {
        let inner = self.inner.clone();
        self.call("check", async move { inner.check().await }, no_entries).await
    }

    async fn close(&self) {
        let inner = self.inner.clone();
        let closing = async move {
            inner.close().await;
            Ok(())
        };
        let _ = self.call("close", closing, no_entries).await;
    }

    fn browse(&self) -> Option<&dyn Browse> {
        Some(self)
    }
}

/// Names a settlement as the simulation's journal does, as far as the invariants distinguish them.
fn settlement_name(outcome: &JobOutcome) -> &'static str {
    match (&outcome.settlement, &outcome.attempt) {
        (Settlement::Unrouted, _) => UNROUTED,
        (Settlement::Released { .. }, None) => RELEASED_UNSTARTED,
        _ => "settled",
    }
}

fn no_browse() -> StoreError {
    StoreError::Unavailable("the real store has no browse operations".to_owned())
}

#[async_trait]
impl Browse for FaultyStore {
    async fn list(
        &self,
        filter: &EventFilter,
        limit: usize,
        after: Option<PageCursor>,
    ) -> Result<EventPage, StoreError> {
        let (inner, filter) = (self.inner.clone(), filter.clone());
        let call =
            async move { inner.browse().ok_or_else(no_browse)?.list(&filter, limit, after).await };
        self.call("list", call, no_entries).await
    }

    async fn show(&self, id: EventId) -> Result<Option<EventDetail>, StoreError> {
        let inner = self.inner.clone();
        let call = async move { inner.browse().ok_or_else(no_browse)?.show(id).await };
        self.call("show", call, no_entries).await
    }

    async fn find(&self, event_id: &str, limit: usize) -> Result<Vec<EventId>, StoreError> {
        let (inner, event_id) = (self.inner.clone(), event_id.to_owned());
        let call =
            async move { inner.browse().ok_or_else(no_browse)?.find(&event_id, limit).await };
        self.call("find", call, no_entries).await
    }

    async fn replay(&self, now: Timestamp, jobs: Vec<ReplayJob>) -> Result<usize, StoreError> {
        let (inner, sent) = (self.inner.clone(), jobs.clone());
        let replayed = move |count: &usize| {
            // Each event of this workload has one job, so an added job is the second.
            let each = sent.iter().filter(|_| *count > 0).map(|job| match job {
                ReplayJob::Revive(id) => *id,
                ReplayJob::Add { event, .. } => JobId { event: *event, n: 1 },
            });
            each.map(JournalEntry::Replayed).collect()
        };
        let call = async move { inner.browse().ok_or_else(no_browse)?.replay(now, jobs).await };
        self.call("replay", call, replayed).await
    }
}
