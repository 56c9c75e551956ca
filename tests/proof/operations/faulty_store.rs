//! The store in which a call goes wrong: around the real one, in the same process. It counts every call
//! of every operation, spoils those that it was told to, and writes down what truly took effect,
//! whatever it answered.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use hookward_core::store::{
    Acceptance, Browse, Claim, Cursor, Depth, EventDetail, EventPage, Filter, Job, JobId,
    JobOutcome, Lease, NewDelivery, Purge, ReplayJob, Settled, Settlement, StoreError,
};
use hookward_core::{EventId, Store, Timestamp};
use tokio::time::Instant;

use crate::sim::SCRIPTED;
use crate::sim::disk::Durable;
use crate::sim::store::lock;

/// Longer than a sender waits for a commit.
const DELAY: Duration = Duration::from_secs(3);

/// What befalls a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// It did not take effect, and says so.
    Before,
    /// It took effect, and says that it did not.
    After,
    /// There is no room.
    Full,
    /// The store can no longer be trusted, from this call on; it took effect or did not.
    PoisonBefore,
    PoisonAfter,
    /// From this call on the store is closed, and nobody closed it.
    Closed,
    /// It takes effect, late.
    Delay,
    PanicBefore,
    PanicAfter,
    /// For a canary: it took no effect, and says that it did.
    Lie,
    /// For a canary: it never comes back.
    Hang,
}

impl Kind {
    pub(super) const ALL: [Self; 9] = [
        Self::Before,
        Self::After,
        Self::Full,
        Self::PoisonBefore,
        Self::PoisonAfter,
        Self::Closed,
        Self::Delay,
        Self::PanicBefore,
        Self::PanicAfter,
    ];

    /// Behind it nothing but a new owner helps.
    pub(super) fn is_the_end(self) -> bool {
        matches!(self, Self::PoisonBefore | Self::PoisonAfter | Self::Closed)
    }

    fn takes_effect(self) -> bool {
        matches!(self, Self::After | Self::PoisonAfter | Self::PanicAfter | Self::Delay)
    }

    /// Where it does not answer well. Panics here.
    fn answer(self) -> Option<StoreError> {
        match self {
            Self::Delay | Self::Lie | Self::Hang => None,
            Self::Before => Some(StoreError::Unavailable("it did not take effect".to_owned())),
            Self::After => Some(StoreError::Unavailable("nobody knows".to_owned())),
            Self::Full => Some(StoreError::Full("no room".to_owned())),
            Self::PoisonBefore | Self::PoisonAfter => {
                Some(StoreError::Failed("a sync failed".to_owned()))
            }
            Self::Closed => Some(StoreError::Closed),
            Self::PanicBefore | Self::PanicAfter => panic!("{SCRIPTED}"),
        }
    }
}

/// Which calls, from the first one on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reach {
    Once,
    /// It, and all later ones of the same operation.
    Same,
    /// It, and all later ones.
    All,
}

/// What goes wrong, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Point {
    pub(super) kind: Kind,
    pub(super) reach: Reach,
    /// The operation, and which of its calls is the first, from 0: how those of several mix is chance.
    pub(super) operation: &'static str,
    pub(super) nth: usize,
}

/// What the store is told, and what it saw.
#[derive(Debug, Default)]
pub(super) struct Script {
    /// Nothing, once the trouble is over.
    pub(super) point: Option<Point>,
    /// Every call so far.
    pub(super) calls: Vec<&'static str>,
    /// The operations that were struck.
    pub(super) struck: BTreeSet<&'static str>,
    /// Since when there is no way back, and what is said from then on.
    pub(super) ended: Option<(Instant, StoreError)>,
    /// What took effect.
    pub(super) journal: Vec<Durable>,
}

#[derive(Debug)]
pub(super) struct Spoilt {
    pub(super) inner: Arc<dyn Store>,
    pub(super) script: Arc<Mutex<Script>>,
    turn: Arc<Mutex<()>>,
}

impl Spoilt {
    pub(super) fn over(inner: Arc<dyn Store>, script: Arc<Mutex<Script>>) -> Self {
        Self { inner, script, turn: Arc::default() }
    }

    fn next(&self, operation: &'static str) -> Result<Option<Kind>, StoreError> {
        let mut script = lock(&self.script);
        let n = script.calls.iter().filter(|call| **call == operation).count();
        script.calls.push(operation);
        if let Some((_, error)) = &script.ended {
            return Err(error.clone());
        }
        let Some(point) = script.point else { return Ok(None) };
        let same = point.operation == operation && n >= point.nth;
        let first = script.struck.is_empty();
        let hit = match point.reach {
            Reach::Once => same && first,
            Reach::Same => same,
            Reach::All => same || !first,
        };
        if hit {
            script.struck.insert(operation);
        }
        if hit && point.kind.is_the_end() {
            script.ended = point.kind.answer().map(|error| (Instant::now(), error));
        }
        Ok(hit.then_some(point.kind))
    }

    /// Makes the call, or does with it what is to be done; `noted` writes down what took effect.
    async fn call<T: Send + 'static>(
        &self,
        operation: &'static str,
        asked: impl Future<Output = Result<T, StoreError>> + Send + 'static,
        noted: impl FnOnce(&T) -> Vec<Durable> + Send + 'static,
    ) -> Result<T, StoreError> {
        let kind = self.next(operation)?;
        match kind {
            Some(Kind::Delay) => tokio::time::sleep(DELAY).await,
            Some(Kind::Hang) => std::future::pending().await,
            _ => {}
        }
        let mut done = None;
        if kind.is_none_or(Kind::takes_effect) {
            let (script, turn) = (self.script.clone(), self.turn.clone());
            // The store has threads of its own. Simulated time stands still while a thread is made to
            // wait for them, and only then.
            let real = tokio::task::spawn_blocking(move || {
                // The journal is in the order in which things happened. Deliveries are not in it, and
                // share commits.
                let _turn = (operation != "accept").then(|| lock(&turn));
                let done = tokio::runtime::Handle::current().block_on(asked)?;
                lock(&script).journal.extend(noted(&done));
                Ok(done)
            });
            done = real.await.ok();
        }
        match kind.and_then(Kind::answer) {
            Some(error) => Err(error),
            None => done.unwrap_or(Err(StoreError::Closed)),
        }
    }
}

fn nothing<T>(_: &T) -> Vec<Durable> {
    Vec::new()
}

#[async_trait]
impl Store for Spoilt {
    async fn accept(&self, deliveries: Vec<NewDelivery>) -> Result<Vec<Acceptance>, StoreError> {
        let lies = lock(&self.script).point.is_some_and(|point| point.kind == Kind::Lie);
        if lies && self.next("accept")?.is_some() {
            return Ok(vec![Acceptance::Accepted { known: 0 }; deliveries.len()]);
        }
        let inner = self.inner.clone();
        self.call("accept", async move { inner.accept(deliveries).await }, nothing).await
    }

    async fn claim(&self, want: Claim) -> Result<Vec<Job>, StoreError> {
        let inner = self.inner.clone();
        let handed_out = |jobs: &Vec<Job>| {
            let each = jobs.iter().map(|job| job.lease);
            each.map(|lease| Durable::HandedOut { lease, before: None, early: false }).collect()
        };
        self.call("claim", async move { inner.claim(want).await }, handed_out).await
    }

    async fn settle(&self, outcomes: Vec<JobOutcome>) -> Result<Vec<Settled>, StoreError> {
        let (inner, said) = (self.inner.clone(), outcomes.clone());
        let settled = move |answers: &Vec<Settled>| {
            let each = said.iter().zip(answers).filter(|(_, s)| **s == Settled::Applied);
            each.map(|(o, _)| Durable::Settled { lease: o.lease, word: word(o) }).collect()
        };
        self.call("settle", async move { inner.settle(outcomes).await }, settled).await
    }

    async fn extend(
        &self,
        leases: Vec<Lease>,
        until: Timestamp,
    ) -> Result<Vec<Settled>, StoreError> {
        let (inner, said) = (self.inner.clone(), leases.clone());
        let extended = move |answers: &Vec<Settled>| {
            let each = said.iter().zip(answers).filter(|(_, s)| **s == Settled::Applied);
            each.map(|(lease, _)| Durable::Extended(*lease)).collect()
        };
        self.call("extend", async move { inner.extend(leases, until).await }, extended).await
    }

    async fn purge(&self, what: Purge) -> Result<u64, StoreError> {
        let inner = self.inner.clone();
        self.call("purge", async move { inner.purge(what).await }, nothing).await
    }

    async fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        let inner = self.inner.clone();
        self.call("next_due", async move { inner.next_due().await }, nothing).await
    }

    async fn depth(&self) -> Result<Depth, StoreError> {
        let inner = self.inner.clone();
        self.call("depth", async move { inner.depth().await }, nothing).await
    }

    async fn check(&self) -> Result<(), StoreError> {
        let inner = self.inner.clone();
        self.call("check", async move { inner.check().await }, nothing).await
    }

    async fn close(&self) {
        let inner = self.inner.clone();
        let closing = async move {
            inner.close().await;
            Ok(())
        };
        let _ = self.call("close", closing, nothing).await;
    }

    fn browse(&self) -> Option<&dyn Browse> {
        Some(self)
    }
}

/// The word of the simulation's journal, as far as its judge asks for one.
fn word(outcome: &JobOutcome) -> &'static str {
    match (&outcome.settlement, &outcome.attempt) {
        (Settlement::Unrouted, _) => "unrouted",
        (Settlement::Released { .. }, None) => "given back",
        _ => "settled",
    }
}

fn unable() -> StoreError {
    StoreError::Unavailable("the real store does not list".to_owned())
}

#[async_trait]
impl Browse for Spoilt {
    async fn list(
        &self,
        filter: &Filter,
        limit: usize,
        after: Option<Cursor>,
    ) -> Result<EventPage, StoreError> {
        let (inner, filter) = (self.inner.clone(), filter.clone());
        let asked =
            async move { inner.browse().ok_or_else(unable)?.list(&filter, limit, after).await };
        self.call("list", asked, nothing).await
    }

    async fn show(&self, id: EventId) -> Result<Option<EventDetail>, StoreError> {
        let inner = self.inner.clone();
        let asked = async move { inner.browse().ok_or_else(unable)?.show(id).await };
        self.call("show", asked, nothing).await
    }

    async fn find(&self, event_id: &str, limit: usize) -> Result<Vec<EventId>, StoreError> {
        let (inner, event_id) = (self.inner.clone(), event_id.to_owned());
        let asked = async move { inner.browse().ok_or_else(unable)?.find(&event_id, limit).await };
        self.call("find", asked, nothing).await
    }

    async fn replay(&self, now: Timestamp, jobs: Vec<ReplayJob>) -> Result<usize, StoreError> {
        let (inner, said) = (self.inner.clone(), jobs.clone());
        let revived = move |made: &usize| {
            // Each event of this workload came with one job, so what is added is the second.
            let each = said.iter().filter(|_| *made > 0).map(|job| match job {
                ReplayJob::Revive(id) => *id,
                ReplayJob::Add { event, .. } => JobId { event: *event, n: 1 },
            });
            each.map(Durable::Replayed).collect()
        };
        let asked = async move { inner.browse().ok_or_else(unable)?.replay(now, jobs).await };
        self.call("replay", asked, revived).await
    }
}
