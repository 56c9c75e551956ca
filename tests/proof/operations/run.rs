//! One run: a process over a faulty store, and then a second process without faults over the same
//! file. Time is simulated except inside the store.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use hookward_core::plugin::{Plugin, Registry};
use hookward_core::store::OpenCx;
use hookward_core::store::{EventDetail, EventFilter, EventStatus};
use hookward_core::{Clock, Handler, Store, Timestamp};
use hookward_engine::Engine;
use hookward_engine::config::{LoadCx, SystemEnvironment, load_text};
use hookward_engine::worker::Worker;
use rusqlite::Connection;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::faulty_store::{FaultPoint, FaultyStore, Script};
use super::handler::ScriptedHandler;
use super::invariants::check;
use super::senders::{self, Delivery, send_once, send_until_acknowledged};
use crate::duplicates::open_read_only;
use crate::fault::trial::check_integrity;
use crate::sim::journal::JournalEntry;
use crate::sim::store::lock;

/// Duration of the faults, longer than a lease.
const FAULTS_DURATION: Duration = Duration::from_secs(35);
/// Once the faults have ended, all work is done within this time, without a restart.
const WORK_TIMEOUT: Duration = Duration::from_secs(240);
/// A failed store is noticed within this time; the worker checks every 5 s.
const NOTICE_TIMEOUT: Duration = Duration::from_secs(10);
/// A stop ends within this time.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);

/// Start of the process that fills the store before the runs.
const TEMPLATE_START: Timestamp = Timestamp::from_secs(1_760_000_000);
/// Start of the first process; the retention of the events stored before is over.
const FIRST_START: Timestamp = Timestamp::from_secs(1_760_007_200);
/// Start of the second process.
const SECOND_START: Timestamp = Timestamp::from_secs(1_760_008_400);

/// Looks for expired events after the work is done, 10 ms of real time apart.
const MAX_PURGE_WAITS: usize = 300;

/// Attempts to open the store, 5 ms apart.
const MAX_OPEN_TRIES: usize = 400;

const STORE_FILE: &str = "events.db";
const ROUTES: &str = r#"
store: sqlite:events.db
defaults:
  retry: { attempts: 20, first_delay: 1s, max_delay: 4s, jitter: none }
  retention: { events: 1h, dead: 1h }
sources:
  stripe: { secrets: [whsec_operations] }
  shop:
    provider: hmac
    secrets: [whsec_operations]
    with:
      signature: { in: header, name: x-signature, encoding: hex }
      message: "{body}"
      alg: hmac-sha256
      batch: /items
      event_type: /type
      event_id: /id
routes:
  - name: orders
    events: stripe/charge.*
    order_by: /data/object/customer
    concurrency: 3
    chain: [{ handler: scripted, name: first }, { handler: scripted, name: second }]
  - name: items
    events: shop/**
    chain: [{ handler: scripted, name: only }]
"#;

const PLUGINS: [&[Plugin]; 3] = [
    hookward_store_sqlite::PLUGINS,
    hookward_provider_stripe::PLUGINS,
    hookward_provider_hmac::PLUGINS,
];

/// Simulated time since a start.
#[derive(Debug)]
struct SimulatedClock(Timestamp, Instant);

impl Clock for SimulatedClock {
    fn now(&self) -> Timestamp {
        self.0.plus(self.monotonic())
    }

    fn monotonic(&self) -> Duration {
        self.1.elapsed()
    }
}

/// What both processes of a run and the oracle share.
#[derive(Default)]
pub(super) struct World {
    pub(super) deliveries: Vec<Delivery>,
    pub(super) script: Arc<Mutex<Script>>,
    pub(super) handler: ScriptedHandler,
    /// Acknowledged deliveries with the bytes of their answers.
    pub(super) acks: Mutex<Vec<(usize, Bytes)>>,
    /// Violations that were observed during the run.
    pub(super) violations: Mutex<Vec<String>>,
    /// A read-only connection to the store's file.
    pub(super) file: Mutex<Option<Connection>>,
}

/// Result of one run.
#[derive(Debug)]
pub(super) struct RunResult {
    pub(super) violations: Vec<String>,
    pub(super) calls: Vec<&'static str>,
    pub(super) injected: bool,
    /// The store failed and the process ended.
    pub(super) store_failed: bool,
    pub(super) acknowledged: usize,
    pub(super) stored: usize,
}

impl World {
    pub(super) fn record_violation(&self, what: String) {
        lock(&self.violations).push(what);
    }
}

/// A process: an engine over a faulty store.
struct Process {
    engine: Arc<Engine>,
    store: Arc<FaultyStore>,
}

impl Process {
    async fn open(world: &World, folder: &Path, now: Timestamp) -> Result<Self, String> {
        let mut registry = Registry::empty();
        PLUGINS.iter().try_for_each(|plugins| registry.add(*plugins)).map_err(|e| e.to_string())?;
        let handler: Arc<dyn Handler> = Arc::new(world.handler.clone());
        let cx = LoadCx {
            registry: &registry,
            environment: &SystemEnvironment,
            builtin_schemas: &[],
            handlers: &BTreeMap::from([("scripted".to_owned(), handler)]),
            now,
        };
        let config = load_text(&folder.join("routes.yaml"), ROUTES, &cx);
        let config = config.map_err(|e| e.to_string())?.config;
        let clock = Arc::new(SimulatedClock(now, Instant::now()));
        for tries_left in (0..MAX_OPEN_TRIES).rev() {
            let cx = OpenCx::new(folder, now, hookward_engine::STORE_POLICY);
            match (config.store.descriptor.open)(config.store.rest.clone(), cx).await {
                Ok(inner) => {
                    *lock(&world.file) = Some(open_read_only(&folder.join(STORE_FILE)));
                    let store = Arc::new(FaultyStore::new(inner, world.script.clone()));
                    return Ok(Self { engine: Engine::new(config, store.clone(), clock), store });
                }
                Err(e) if tries_left == 0 => return Err(format!("the store does not open: {e}")),
                // The first process did not close the store, and its thread may still hold the
                // lock.
                Err(_) => std::thread::sleep(Duration::from_millis(5)),
            }
        }
        Err("the store does not open".to_owned())
    }

    async fn open_jobs(&self) -> Result<u64, String> {
        let depth = self.store.inner.depth().await.map_err(|e| e.to_string())?;
        Ok(depth.routes.iter().map(|route| route.open).sum())
    }

    /// Stops as the server does.
    async fn stop(self, worker: Option<Worker>) {
        self.engine.drain();
        if let Some(worker) = worker {
            worker.stop(Duration::from_secs(15)).await;
        }
        let _ = timeout(Duration::from_secs(5), self.engine.store().close()).await;
    }

    /// Returns all stored events in the order of acceptance.
    async fn stored(&self) -> Result<Vec<EventDetail>, String> {
        let browse = self.store.inner.browse().ok_or("the store has no browse operations")?;
        let page =
            browse.list(&EventFilter::default(), 1_000, None).await.map_err(|e| e.to_string())?;
        let mut all = Vec::new();
        for event in page.events.iter().rev() {
            all.extend(browse.show(event.id).await.map_err(|e| e.to_string())?);
        }
        Ok(all)
    }
}

fn runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_time().start_paused(true).build().expect("a runtime")
}

/// Makes the store that each run copies. Its events are past their retention when the runs begin,
/// so that `purge` has work.
pub(super) fn prepare_store(folder: &Path) -> Result<(), String> {
    let deliveries = (0..3).map(|n| senders::unrouted(&format!("evt_old_{n}"))).collect();
    let world = World { deliveries, ..World::default() };
    runtime().block_on(async {
        let process = Process::open(&world, folder, TEMPLATE_START).await?;
        for n in 0..world.deliveries.len() {
            send_once(&world, &process.engine, n).await?;
        }
        process.stop(None).await;
        Ok(())
    })
}

/// Runs over a copy of the prepared store. `outside_guard` is a canary: the operator calls the
/// store itself, without the engine's panic guard.
pub(super) fn run_with_fault(
    template: &Path,
    point: Option<FaultPoint>,
    outside_guard: bool,
) -> Result<RunResult, String> {
    let folder = crate::fault::trial::temp_dir();
    std::fs::copy(template.join(STORE_FILE), folder.path().join(STORE_FILE))
        .map_err(|e| e.to_string())?;
    let world = Arc::new(World { deliveries: senders::all(), ..World::default() });
    lock(&world.script).point = point;
    let store_failed = runtime().block_on(first_process(&world, folder.path(), outside_guard))?;
    // The tasks of the first process ended with its runtime.
    *lock(&world.file) = None;
    let (calls, injected) = {
        let mut script = lock(&world.script);
        script.journal.push(JournalEntry::Reopened);
        (script.point, script.failed) = (None, None);
        (script.calls.clone(), !script.injected.is_empty())
    };
    let stored = runtime().block_on(second_process(&world, folder.path()))?;
    *lock(&world.file) = None;
    let mut violations = check(&world, store_failed, &stored);
    violations.extend(check_integrity(&folder.path().join(STORE_FILE)).err());
    let acknowledged = lock(&world.acks).len();
    Ok(RunResult { violations, calls, injected, store_failed, acknowledged, stored: stored.len() })
}

/// Runs the process that has the fault; returns whether the store failed and the process ended.
async fn first_process(
    world: &Arc<World>,
    folder: &Path,
    outside_guard: bool,
) -> Result<bool, String> {
    let process = Process::open(world, folder, FIRST_START).await?;
    let engine = process.engine.clone();
    let worker = Worker::start(engine.clone(), tokio::runtime::Handle::current());
    let mut clients = JoinSet::new();
    for (n, delivery) in world.deliveries.iter().enumerate() {
        for _ in 0..delivery.senders {
            clients.spawn(send_until_acknowledged(world.clone(), engine.clone(), n));
        }
    }
    let direct: Arc<dyn Store> = process.store.clone();
    let browsed = if outside_guard { direct } else { engine.store().clone() };
    clients.spawn(operate(engine.clone(), browsed));
    let store_failed = wait_until_done(world, &process, &mut clients).await?;
    if store_failed && lock(&world.script).failed.is_none() {
        world.record_violation("the process ended although the store had not failed".to_owned());
    }
    engine.drain();
    let all = async {
        while let Some(ended) = clients.join_next().await {
            check_client(world, ended);
        }
    };
    let clients_ended = timeout(STOP_TIMEOUT, all).await.is_ok();
    let stopped = timeout(STOP_TIMEOUT, process.stop(Some(worker))).await.is_ok();
    if !(clients_ended && stopped) {
        world.record_violation(format!("the process did not stop within {STOP_TIMEOUT:?}"));
    }
    Ok(store_failed)
}

/// Waits until the faults have ended and all work is done, or until the engine reports a failed
/// store, in which case it returns true.
async fn wait_until_done(
    world: &World,
    process: &Process,
    clients: &mut JoinSet<()>,
) -> Result<bool, String> {
    let engine = &process.engine;
    let start = Instant::now();
    loop {
        let second = tokio::time::sleep(Duration::from_secs(1));
        tokio::select! {
            biased;
            () = engine.until_failed() => return Ok(true),
            () = second => {}
        }
        let failed = {
            let mut script = lock(&world.script);
            if start.elapsed() >= FAULTS_DURATION {
                script.point = None;
            }
            script.failed.clone()
        };
        while let Some(ended) = clients.try_join_next() {
            check_client(world, ended);
        }
        match failed {
            Some((since, _)) if since.elapsed() < NOTICE_TIMEOUT => continue,
            Some((_, error)) => {
                world.record_violation(format!(
                    "the failed store was not noticed within {NOTICE_TIMEOUT:?}: {error}"
                ));
                return Ok(false);
            }
            None if start.elapsed() < FAULTS_DURATION => continue,
            None => {}
        }
        let open = process.open_jobs().await?;
        if clients.is_empty() && open == 0 {
            return Ok(false);
        }
        if start.elapsed() > FAULTS_DURATION + WORK_TIMEOUT {
            let left = clients.len();
            world.record_violation(format!(
                "INV-2: {open} jobs are open and {left} clients wait, {WORK_TIMEOUT:?} after the faults ended"
            ));
            return Ok(false);
        }
    }
}

/// Records a client whose task panicked.
fn check_client(world: &World, ended: Result<(), tokio::task::JoinError>) {
    if ended.is_err() {
        world.record_violation("a panic reached a client".to_owned());
    }
}

/// Uses the store as an operator does: browses, and replays dead jobs. Errors are allowed, panics
/// are not.
async fn operate(engine: Arc<Engine>, store: Arc<dyn Store>) {
    tokio::time::sleep(Duration::from_secs(3)).await;
    let _ = (store.check().await, store.depth().await);
    let browse = store.browse().expect("a store with browse operations");
    let page = browse.list(&EventFilter::default(), 2, None).await.unwrap_or_default();
    if let Some(event) = page.events.first() {
        let _ = browse.show(event.id).await;
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let found = browse.find("evt_fatal", 1).await.unwrap_or_default();
    if let Some(id) = found.first() {
        let _ = engine.replay_event(*id, None).await;
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let dead = EventFilter::new().with_status(EventStatus::Dead);
    let _ = engine.replay_matching(&dead, 10, false).await;
}

/// Runs the process without faults: it finishes all work, and recognises what was acknowledged.
async fn second_process(world: &World, folder: &Path) -> Result<Vec<EventDetail>, String> {
    let process = Process::open(world, folder, SECOND_START).await?;
    let worker = Worker::start(process.engine.clone(), tokio::runtime::Handle::current());
    for n in 0..world.deliveries.len() {
        if !send_once(world, &process.engine, n).await? {
            return Err(format!("delivery {n} is not accepted by the second process"));
        }
    }
    let start = Instant::now();
    while process.open_jobs().await? > 0 {
        if start.elapsed() > WORK_TIMEOUT {
            world.record_violation(format!(
                "INV-2: jobs are open in the second process after {WORK_TIMEOUT:?}"
            ));
            break;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    // The first purge runs beside this. Its calls of the store take real time, during which the
    // simulated time may pass.
    let has_expired =
        |stored: &[EventDetail]| stored.iter().any(|event| event.event.received_at() < FIRST_START);
    let mut stored = process.stored().await;
    for _ in 0..MAX_PURGE_WAITS {
        if !stored.as_ref().is_ok_and(|stored| has_expired(stored)) {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
        tokio::time::sleep(Duration::from_secs(1)).await;
        stored = process.stored().await;
    }
    process.stop(Some(worker)).await;
    stored
}
