//! An engine in this process over a store that does something else than it should, or whose first
//! transaction for a key is rolled back. Used by the suite `duplicates`.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use hookward_core::plugin::Registry;
use hookward_core::store::{
    Acceptance, Browse, Claim, Depth, Job, JobOutcome, KeyKind, Lease, NewDelivery, Purge, Settled,
    StoreError,
};
use hookward_core::{Head, Reply, Store, SystemClock, Timestamp};
use hookward_engine::Engine;
use hookward_engine::config::{LoadCx, SystemEnvironment, load_text};
use hookward_store_sqlite::SqliteStore;
use tokio::sync::Barrier;

use crate::duplicates::{Heard, One, count, open_read_only};
use crate::sender::{now, paid};

const SENDERS: usize = 64;

/// What the store does with a delivery.
#[derive(Debug)]
pub(crate) enum Storing {
    Rolls(Rolls),
    Checks(Checks),
}

/// The first transaction for a key fails once all others wait behind it: the winner is rolled back.
#[derive(Debug, Default)]
pub(crate) struct Rolls {
    keys: Mutex<HashMap<[u8; 16], Arc<Turn>>>,
}

#[derive(Debug)]
struct Turn {
    came: Barrier,
    first: Mutex<bool>,
}

/// Looks first and inserts later, and the key does not keep a second one out.
#[derive(Debug, Default)]
pub(crate) struct Checks {
    seen: Mutex<HashMap<[u8; 16], Reply>>,
}

#[derive(Debug)]
struct Strange {
    storing: Storing,
    inner: SqliteStore,
}

impl Strange {
    async fn one(&self, mut delivery: NewDelivery) -> Result<Acceptance, StoreError> {
        let key = delivery.events[0].keys[0].hash;
        match &self.storing {
            Storing::Rolls(Rolls { keys }) => {
                let turn = keys.lock().unwrap().entry(key).or_insert_with(new_turn).clone();
                let first = std::mem::take(&mut *turn.first.lock().unwrap());
                turn.came.wait().await;
                if first {
                    return Err(StoreError::Unavailable("rolled back".to_owned()));
                }
            }
            Storing::Checks(Checks { seen }) => {
                let known = seen.lock().unwrap().get(&key).cloned();
                if let Some(answer) = known {
                    let of = delivery.events[0].id;
                    return Ok(Acceptance::Duplicate { answer, of, by: KeyKind::Id });
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
                seen.lock().unwrap().insert(key, delivery.answer.clone());
                delivery.events[0].keys.clear();
            }
        }
        self.inner.accept(vec![delivery]).await.map(|mut told| told.remove(0))
    }
}

fn new_turn() -> Arc<Turn> {
    Arc::new(Turn { came: Barrier::new(SENDERS), first: Mutex::new(true) })
}

#[async_trait]
impl Store for Strange {
    async fn accept(&self, deliveries: Vec<NewDelivery>) -> Result<Vec<Acceptance>, StoreError> {
        let mut told = Vec::new();
        for delivery in deliveries {
            told.push(self.one(delivery).await?);
        }
        Ok(told)
    }
    async fn claim(&self, want: Claim) -> Result<Vec<Job>, StoreError> {
        self.inner.claim(want).await
    }
    async fn settle(&self, outcomes: Vec<JobOutcome>) -> Result<Vec<Settled>, StoreError> {
        self.inner.settle(outcomes).await
    }
    async fn extend(&self, l: Vec<Lease>, until: Timestamp) -> Result<Vec<Settled>, StoreError> {
        self.inner.extend(l, until).await
    }
    async fn purge(&self, what: Purge) -> Result<u64, StoreError> {
        self.inner.purge(what).await
    }
    async fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        self.inner.next_due().await
    }
    async fn depth(&self) -> Result<Depth, StoreError> {
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

/// Sixty-four equal deliveries at a time, for each of so many keys.
pub(crate) fn over(storing: Storing, keys: usize) -> Result<Vec<One>, String> {
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    let path = folder.path().join("events.db");
    let runtime = tokio::runtime::Runtime::new().map_err(|e| e.to_string())?;
    runtime.block_on(async {
        let inner = SqliteStore::open(path.clone(), now()).await.map_err(|e| e.0)?;
        let engine = engine(Strange { storing, inner })?;
        let file = Arc::new(Mutex::new(open_read_only(&path)));
        let mut all = Vec::new();
        for n in 0..keys {
            let id = format!("evt_{n}");
            let signed = Arc::new(paid(&id));
            let mut senders = tokio::task::JoinSet::new();
            for _ in 0..SENDERS {
                let (engine, signed) = (engine.clone(), signed.clone());
                let (file, id) = (file.clone(), id.clone());
                senders.spawn(async move {
                    let mut head = Head { target: signed.target.clone(), ..Head::default() };
                    head.method = http::Method::POST;
                    for (name, value) in &signed.headers {
                        let name = name.parse::<http::HeaderName>().unwrap();
                        head.headers.append(name, value.parse().unwrap());
                    }
                    let body = bytes::Bytes::from(signed.body.clone());
                    let reply = engine.receive(head, body).await;
                    let stored = count(&file.lock().unwrap(), &id) > 0;
                    Heard { status: reply.status.as_u16(), body: reply.body.to_vec(), stored }
                });
            }
            let heard = senders.join_all().await;
            let events = count(&file.lock().unwrap(), &id);
            all.push((id, heard, events));
        }
        engine.store().close().await;
        Ok(all)
    })
}

fn engine(store: Strange) -> Result<Arc<Engine>, String> {
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
