//! An engine in this process over a store whose first transaction for a key is rolled back, or, as
//! a canary, over a store that looks keys up outside its transactions.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use hookward_core::plugin::Registry;
use hookward_core::store::{
    Acceptance, Browse, ClaimRequest, DedupeKeyKind, Job, JobOutcome, Lease, NewDelivery,
    PurgeRequest, QueueDepth, RetentionState, Settled, StoreError,
};
use hookward_core::{Head, Reply, Store, SystemClock, Timestamp};
use hookward_engine::Engine;
use hookward_engine::config::{LoadCx, SystemEnvironment, load_text};
use hookward_store_sqlite::SqliteStore;
use tokio::sync::Barrier;

use crate::duplicates::{Answered, KeyResult, SENDERS, count_events, open_read_only};
use crate::sender::{now, paid};

/// What the store does with a delivery.
#[derive(Debug)]
pub(crate) enum StoreBehavior {
    /// The first transaction for a key fails once all senders have arrived.
    FirstRolledBack { keys: Mutex<HashMap<[u8; 16], Arc<Arrivals>>> },
    /// Canary: keys are looked up before the transaction, and nothing in it keeps a second event
    /// out.
    LookupOutsideTransaction { answers: Mutex<HashMap<[u8; 16], Reply>> },
}

impl StoreBehavior {
    pub(crate) fn first_rolled_back() -> Self {
        Self::FirstRolledBack { keys: Mutex::default() }
    }

    pub(crate) fn lookup_outside_transaction() -> Self {
        Self::LookupOutsideTransaction { answers: Mutex::default() }
    }
}

/// The senders of one key that have arrived at the store.
#[derive(Debug)]
pub(crate) struct Arrivals {
    all: Barrier,
    is_first: Mutex<bool>,
}

#[derive(Debug)]
struct WrappedStore {
    behavior: StoreBehavior,
    inner: SqliteStore,
}

impl WrappedStore {
    async fn accept_one(&self, mut delivery: NewDelivery) -> Result<Acceptance, StoreError> {
        let key = delivery.events[0].keys[0].hash;
        match &self.behavior {
            StoreBehavior::FirstRolledBack { keys } => {
                let arrivals = keys.lock().unwrap().entry(key).or_insert_with(new_arrivals).clone();
                let is_first = std::mem::take(&mut *arrivals.is_first.lock().unwrap());
                arrivals.all.wait().await;
                if is_first {
                    return Err(StoreError::Unavailable("rolled back".to_owned()));
                }
            }
            StoreBehavior::LookupOutsideTransaction { answers } => {
                let known = answers.lock().unwrap().get(&key).cloned();
                if let Some(answer) = known {
                    let of = delivery.events[0].id;
                    return Ok(Acceptance::Duplicate { answer, of, by: DedupeKeyKind::Id });
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
                answers.lock().unwrap().insert(key, delivery.answer.clone());
                delivery.events[0].keys.clear();
            }
        }
        self.inner.accept(vec![delivery]).await.map(|mut answers| answers.remove(0))
    }
}

fn new_arrivals() -> Arc<Arrivals> {
    Arc::new(Arrivals { all: Barrier::new(SENDERS), is_first: Mutex::new(true) })
}

#[async_trait]
impl Store for WrappedStore {
    async fn accept(&self, deliveries: Vec<NewDelivery>) -> Result<Vec<Acceptance>, StoreError> {
        let mut answers = Vec::new();
        for delivery in deliveries {
            answers.push(self.accept_one(delivery).await?);
        }
        Ok(answers)
    }
    async fn claim(&self, want: ClaimRequest) -> Result<Vec<Job>, StoreError> {
        self.inner.claim(want).await
    }
    async fn settle(&self, outcomes: Vec<JobOutcome>) -> Result<Vec<Settled>, StoreError> {
        self.inner.settle(outcomes).await
    }
    async fn extend(&self, l: Vec<Lease>, until: Timestamp) -> Result<Vec<Settled>, StoreError> {
        self.inner.extend(l, until).await
    }
    async fn purge(&self, what: PurgeRequest) -> Result<u64, StoreError> {
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
    fn browse(&self) -> Option<&dyn Browse> {
        self.inner.browse()
    }
}

/// Sends the same delivery [`SENDERS`] times at the same time, for each of this number of keys.
pub(crate) fn send_to_engine(
    behavior: StoreBehavior,
    keys: usize,
) -> Result<Vec<KeyResult>, String> {
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    let path = folder.path().join("events.db");
    let runtime = tokio::runtime::Runtime::new().map_err(|e| e.to_string())?;
    runtime.block_on(async {
        let inner = SqliteStore::open(path.clone(), now(), hookward_engine::STORE_POLICY)
            .await
            .map_err(|e| e.message)?;
        let engine = start_engine(WrappedStore { behavior, inner })?;
        let file = Arc::new(Mutex::new(open_read_only(&path)));
        let mut results = Vec::new();
        for n in 0..keys {
            let id = format!("evt_{n}");
            let signed = Arc::new(paid(&id));
            let mut senders = tokio::task::JoinSet::new();
            for _ in 0..SENDERS {
                let (engine, signed) = (engine.clone(), signed.clone());
                let (file, id) = (file.clone(), id.clone());
                senders.spawn(async move {
                    let mut head = Head::default().with_target(signed.target.clone());
                    head.method = http::Method::POST;
                    for (name, value) in &signed.headers {
                        let name = name.parse::<http::HeaderName>().unwrap();
                        head.headers.append(name, value.parse().unwrap());
                    }
                    let body = bytes::Bytes::from(signed.body.clone());
                    let reply = engine.receive(head, body).await;
                    let stored = count_events(&file.lock().unwrap(), &id) > 0;
                    Answered { status: reply.status.as_u16(), body: reply.body.to_vec(), stored }
                });
            }
            let answers = senders.join_all().await;
            let events = count_events(&file.lock().unwrap(), &id);
            results.push((id, answers, events));
        }
        engine.store().close().await;
        Ok(results)
    })
}

fn start_engine(store: WrappedStore) -> Result<Arc<Engine>, String> {
    let mut registry = Registry::empty();
    registry.add(hookward_engine::memory::PLUGINS).map_err(|e| e.to_string())?;
    registry.add(hookward_provider_stripe::PLUGINS).map_err(|e| e.to_string())?;
    registry.add(hookward_handler_noop::PLUGINS).map_err(|e| e.to_string())?;
    let cx = LoadCx {
        registry: &registry,
        environment: &SystemEnvironment,
        builtin_schemas: &[],
        handlers: &BTreeMap::new(),
        now: now(),
    };
    let text = "store: memory\nsources:\n  stripe: { secrets: [whsec_e2e_stripe] }\nroutes:\n  - { name: r, events: stripe/**, chain: [noop] }\n";
    let loaded = load_text(Path::new("routes.yaml"), text, &cx).map_err(|e| e.to_string())?;
    Ok(Engine::new(loaded.config, Arc::new(store), Arc::new(SystemClock)))
}
