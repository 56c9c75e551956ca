//! One run: a process over a store of which some calls go wrong, and the process after it, in which all
//! is well. In simulated time, but for what the store does.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use hookward_core::plugin::{OpenCx, Plugin, Registry};
use hookward_core::store::{EventDetail, Filter, Status};
use hookward_core::{Clock, Handler, Store, Timestamp};
use hookward_engine::Engine;
use hookward_engine::config::{LoadCx, SystemEnvironment, load_text};
use hookward_engine::worker::Worker;
use rusqlite::Connection;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::faulty_store::{Point, Script, Spoilt};
use super::handler::Hand;
use super::invariants::judge;
use super::senders::{self, Letter, deliver, send};
use crate::duplicates::look;
use crate::fault::trial::sound;
use crate::sim::disk::Durable;
use crate::sim::store::lock;

/// The trouble lasts so long: longer than a lease.
const TROUBLE: Duration = Duration::from_secs(35);
/// Behind it, all is done within so long, without a restart.
const DONE: Duration = Duration::from_secs(240);
/// A store that is lost is noticed within so long: the worker looks every 5 s.
const NOTICED: Duration = Duration::from_secs(10);
/// What stops has stopped.
const STOPPED: Duration = Duration::from_secs(30);

const BEFORE: Timestamp = Timestamp::from_secs(1_760_000_000);
/// What was kept from before is past its time here.
const FIRST: Timestamp = Timestamp::from_secs(1_760_007_200);
const SECOND: Timestamp = Timestamp::from_secs(1_760_008_400);

const FILE: &str = "events.db";
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
    chain: [{ handler: hand, name: first }, { handler: hand, name: second }]
  - name: items
    events: shop/**
    chain: [{ handler: hand, name: only }]
"#;

const PLUGINS: [&[Plugin]; 3] = [
    hookward_store_sqlite::PLUGINS,
    hookward_provider_stripe::PLUGINS,
    hookward_provider_hmac::PLUGINS,
];

/// Simulated time, from a moment on.
#[derive(Debug)]
struct Simulated(Timestamp, Instant);

impl Clock for Simulated {
    fn now(&self) -> Timestamp {
        self.0.plus(self.monotonic())
    }

    fn monotonic(&self) -> Duration {
        self.1.elapsed()
    }
}

/// What both processes of a run share, and those who judge them.
#[derive(Default)]
pub(super) struct World {
    pub(super) letters: Vec<Letter>,
    pub(super) script: Arc<Mutex<Script>>,
    pub(super) hand: Hand,
    /// Letters and the bytes of their answers.
    pub(super) acks: Mutex<Vec<(usize, Bytes)>>,
    /// What was seen to be wrong on the way.
    pub(super) broken: Mutex<Vec<String>>,
    /// The store's file, to be looked at by others.
    pub(super) file: Mutex<Option<Connection>>,
}

/// What a run came to.
#[derive(Debug)]
pub(super) struct Played {
    pub(super) broken: Vec<String>,
    pub(super) calls: Vec<&'static str>,
    pub(super) struck: bool,
    /// The process had to end.
    pub(super) lost: bool,
    pub(super) acknowledged: usize,
    pub(super) stored: usize,
}

impl World {
    pub(super) fn broken(&self, what: String) {
        lock(&self.broken).push(what);
    }
}

/// One process.
struct Process {
    engine: Arc<Engine>,
    store: Arc<Spoilt>,
}

impl Process {
    async fn open(world: &World, folder: &Path, now: Timestamp) -> Result<Self, String> {
        let mut registry = Registry::empty();
        PLUGINS.iter().try_for_each(|plugins| registry.add(*plugins)).map_err(|e| e.to_string())?;
        let handler: Arc<dyn Handler> = Arc::new(world.hand.clone());
        let cx = LoadCx {
            registry: &registry,
            environment: &SystemEnvironment,
            builtin_schemas: &[],
            handlers: &BTreeMap::from([("hand".to_owned(), handler)]),
            now,
        };
        let config = load_text(&folder.join("routes.yaml"), ROUTES, &cx);
        let config = config.map_err(|e| e.to_string())?.config;
        let clock = Arc::new(Simulated(now, Instant::now()));
        let tries = 0..400;
        for left in tries.rev() {
            let cx = OpenCx { base_dir: folder.to_owned(), now };
            match (config.store.descriptor.open)(config.store.rest.clone(), cx).await {
                Ok(inner) => {
                    *lock(&world.file) = Some(look(&folder.join(FILE)));
                    let store = Arc::new(Spoilt::over(inner, world.script.clone()));
                    return Ok(Self { engine: Engine::new(config, store.clone(), clock), store });
                }
                Err(e) if left == 0 => return Err(format!("it does not open: {e}")),
                // The owner before it was not closed, and its thread is about to end.
                Err(_) => std::thread::sleep(Duration::from_millis(5)),
            }
        }
        Err("it does not open".to_owned())
    }

    async fn open_jobs(&self) -> Result<u64, String> {
        let depth = self.store.inner.depth().await.map_err(|e| e.to_string())?;
        Ok(depth.routes.iter().map(|route| route.open).sum())
    }

    /// As the server does it.
    async fn stop(self, worker: Option<Worker>) {
        self.engine.drain();
        if let Some(worker) = worker {
            worker.stop(Duration::from_secs(15)).await;
        }
        let _ = timeout(Duration::from_secs(5), self.engine.store().close()).await;
    }

    /// Everything that is stored, in the order of acceptance.
    async fn stored(&self) -> Result<Vec<EventDetail>, String> {
        let browse = self.store.inner.browse().ok_or("it does not list")?;
        let page = browse.list(&Filter::default(), 1_000, None).await.map_err(|e| e.to_string())?;
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

/// A store that holds what is past its time when the others begin.
pub(super) fn ground(folder: &Path) -> Result<(), String> {
    let letters = (0..3).map(|n| senders::unwanted(&format!("evt_old_{n}"))).collect();
    let world = World { letters, ..World::default() };
    runtime().block_on(async {
        let process = Process::open(&world, folder, BEFORE).await?;
        for n in 0..world.letters.len() {
            send(&world, &process.engine, n).await?;
        }
        process.stop(None).await;
        Ok(())
    })
}

/// Plays a run over a copy of the ground. `past_guard`: the operator asks the store itself, for a canary.
pub(super) fn play(
    ground: &Path,
    point: Option<Point>,
    past_guard: bool,
) -> Result<Played, String> {
    let folder = crate::fault::trial::folder();
    std::fs::copy(ground.join(FILE), folder.path().join(FILE)).map_err(|e| e.to_string())?;
    let world = Arc::new(World { letters: senders::all(), ..World::default() });
    lock(&world.script).point = point;
    let lost = runtime().block_on(trouble(&world, folder.path(), past_guard))?;
    // Whatever was running is gone with its runtime.
    *lock(&world.file) = None;
    let (calls, struck) = {
        let mut script = lock(&world.script);
        script.journal.push(Durable::Reopened);
        (script.point, script.ended) = (None, None);
        (script.calls.clone(), !script.struck.is_empty())
    };
    let stored = runtime().block_on(after(&world, folder.path()))?;
    *lock(&world.file) = None;
    let mut broken = judge(&world, lost, &stored);
    broken.extend(sound(&folder.path().join(FILE)).err());
    let acknowledged = lock(&world.acks).len();
    Ok(Played { broken, calls, struck, lost, acknowledged, stored: stored.len() })
}

/// The process that meets the fault; whether it had to end for it.
async fn trouble(world: &Arc<World>, folder: &Path, past_guard: bool) -> Result<bool, String> {
    let process = Process::open(world, folder, FIRST).await?;
    let engine = process.engine.clone();
    let worker = Worker::start(engine.clone(), tokio::runtime::Handle::current());
    let mut people = JoinSet::new();
    for (n, letter) in world.letters.iter().enumerate() {
        for _ in 0..letter.senders {
            people.spawn(deliver(world.clone(), engine.clone(), n));
        }
    }
    let direct: Arc<dyn Store> = process.store.clone();
    let asked = if past_guard { direct } else { engine.store().clone() };
    people.spawn(operate(engine.clone(), asked));
    let began = Instant::now();
    let lost = loop {
        let second = tokio::time::sleep(Duration::from_secs(1));
        tokio::select! {
            biased;
            () = engine.until_failed() => break true,
            () = second => {}
        }
        let ended = {
            let mut script = lock(&world.script);
            if began.elapsed() >= TROUBLE {
                script.point = None;
            }
            script.ended.clone()
        };
        while let Some(ended) = people.try_join_next() {
            arrived(world, ended);
        }
        match ended {
            Some((since, _)) if since.elapsed() < NOTICED => continue,
            Some((_, error)) => {
                world.broken(format!("nobody noticed within {NOTICED:?}: {error}"));
                break false;
            }
            None if began.elapsed() < TROUBLE => continue,
            None => {}
        }
        let open = process.open_jobs().await?;
        if people.is_empty() && open == 0 {
            break false;
        }
        if began.elapsed() > TROUBLE + DONE {
            let left = people.len();
            world.broken(format!(
                "INV-2: {open} jobs are open and {left} people wait, though all is well"
            ));
            break false;
        }
    };
    if lost && lock(&world.script).ended.is_none() {
        world.broken("the process ended, and could have gone on".to_owned());
    }
    engine.drain();
    let all = async {
        while let Some(ended) = people.join_next().await {
            arrived(world, ended)
        }
    };
    let gone = timeout(STOPPED, all).await.is_ok();
    let stopped = timeout(STOPPED, process.stop(Some(worker))).await.is_ok();
    if !(gone && stopped) {
        world.broken(format!("it did not stop within {STOPPED:?}"));
    }
    Ok(lost)
}

fn arrived(world: &World, ended: Result<(), tokio::task::JoinError>) {
    if ended.is_err() {
        world.broken("a panic reached one who asked".to_owned());
    }
}

/// An operator looks around, and asks for what is dead once more. What cannot be had is not missed.
async fn operate(engine: Arc<Engine>, store: Arc<dyn Store>) {
    tokio::time::sleep(Duration::from_secs(3)).await;
    let _ = (store.check().await, store.depth().await);
    let browse = store.browse().expect("it lists");
    let page = browse.list(&Filter::default(), 2, None).await.unwrap_or_default();
    if let Some(event) = page.events.first() {
        let _ = browse.show(event.id).await;
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let found = browse.find("evt_refuse", 1).await.unwrap_or_default();
    if let Some(id) = found.first() {
        let _ = engine.replay_event(*id, None).await;
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let dead = Filter { status: Some(Status::Dead), ..Filter::default() };
    let _ = engine.replay_matching(&dead, 10, false).await;
}

/// The process after it: it brings to an end what was begun, and knows what was acknowledged.
async fn after(world: &World, folder: &Path) -> Result<Vec<EventDetail>, String> {
    let process = Process::open(world, folder, SECOND).await?;
    let worker = Worker::start(process.engine.clone(), tokio::runtime::Handle::current());
    for n in 0..world.letters.len() {
        if !send(world, &process.engine, n).await? {
            return Err(format!("letter {n} is not taken in by the process after it"));
        }
    }
    let began = Instant::now();
    while process.open_jobs().await? > 0 {
        if began.elapsed() > DONE {
            world.broken("INV-2: jobs are open in the process after it".to_owned());
            break;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let stored = process.stored().await;
    process.stop(Some(worker)).await;
    stored
}
