//! One run: senders, the engine in life after life over one disk, an operator, a clock that goes
//! wrong. On one thread, with paused time, so that an hour takes a moment and a seed says it all.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hookward_core::plugin::Registry;
use hookward_core::store::{Filter, JobState, Status};
use hookward_core::{Clock, Handler, Store, Timestamp};
use hookward_engine::Engine;
use hookward_engine::compiled::{CompiledConfig, Retention, RouteTable};
use hookward_engine::config::{LoadCx, SystemEnvironment, load_text};
use hookward_engine::worker::Worker;
use tokio::time::Instant;

use super::disk::{Disk, Flaw};
use super::faults::{Sky, Weather};
use super::handler::{Hand, Ledger};
use super::senders::{self, Ack, Letter};
use super::store::{Life, SimStore, lock};
use super::trace::note;

thread_local! {
    static BEGAN: std::cell::Cell<Option<Instant>> = const { std::cell::Cell::new(None) };
}

/// Of the run's own time, which no clock that goes wrong touches.
pub(crate) fn elapsed_ms() -> u64 {
    let span = BEGAN.get().map_or(Duration::ZERO, |began| began.elapsed());
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

const START: Timestamp = Timestamp::from_secs(1_760_000_000);

/// After the trouble: so long may it take until all is done.
const DRAIN: Duration = Duration::from_secs(4 * 3600);

/// A clock goes ahead by no more than this, which is less than [`DRAIN`]: what is named while it is
/// ahead, such as when to try again, is waited for by the clock that was set back.
const FORWARD_MS: i64 = 2 * 3_600_000;

/// The server's clock: the run's time, and how far it is off.
#[derive(Debug, Default)]
pub(crate) struct Skewed(AtomicI64);

impl Clock for Skewed {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(true_now().as_millis() + self.0.load(Ordering::SeqCst))
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(elapsed_ms())
    }
}

/// By a clock that is right.
pub(crate) fn true_now() -> Timestamp {
    START.plus(Duration::from_millis(elapsed_ms()))
}

/// What a run did, counted, to see that it did something.
pub(crate) type Counts = BTreeMap<&'static str, u64>;

pub(crate) struct World {
    pub(crate) disk: Arc<Mutex<Disk>>,
    pub(crate) sky: Sky,
    clock: Arc<Skewed>,
    running: Mutex<Option<(Arc<Engine>, Arc<Life>)>>,
    pub(crate) ledger: Mutex<Ledger>,
    pub(crate) acks: Mutex<Vec<Ack>>,
    pub(crate) counts: Mutex<Counts>,
    /// What was seen to be wrong on the way.
    pub(crate) broken: Mutex<Vec<String>>,
    pub(crate) calm: AtomicBool,
}

impl World {
    pub(crate) fn count(&self, what: &'static str) {
        *lock(&self.counts).entry(what).or_default() += 1;
    }

    pub(crate) fn broken(&self, what: String) {
        note!("BROKEN {what}");
        lock(&self.broken).push(what);
    }

    /// The engine, while the process lives.
    pub(crate) fn running(&self) -> Option<(Arc<Engine>, Arc<Life>)> {
        lock(&self.running).clone().filter(|(_, life)| !life.has_ended())
    }
}

/// Two configurations, between which a reload goes to and fro: a route that the other does not have,
/// a step that the other does not have.
fn routes(second: bool) -> String {
    let (last, other) = if second { ("third", "audit") } else { ("second", "mail") };
    format!(
        "store: memory
defaults:
  retry: {{ attempts: 4, first_delay: 2s, max_delay: 2m }}
  step_timeout: 20s
sources:
  stripe: {{ secrets: [whsec_sim] }}
  github: {{ secrets: [s] }}
routes:
  - name: orders
    events: stripe/**
    order_by: /data/object/customer
    concurrency: 4
    chain: [{{ handler: hand, name: first }}, {{ handler: hand, name: {last} }}]
  - name: {other}
    events: [stripe/charge.*, github/push]
    concurrency: 2
    chain: [{{ handler: hand, name: only }}]
"
    )
}

/// Both configurations, read once: reading takes longer than many a run.
pub(crate) struct Plans {
    configs: [CompiledConfig; 2],
    hand: Hand,
}

impl Plans {
    pub(crate) fn read() -> Self {
        let mut registry = Registry::empty();
        registry.add(hookward_engine::memory::PLUGINS).expect("names of their own");
        registry.add(hookward_provider_github::PLUGINS).expect("names of their own");
        registry.add(hookward_provider_stripe::PLUGINS).expect("names of their own");
        let hand = Hand::default();
        let configs = [false, true].map(|second| {
            let handler: Arc<dyn Handler> = Arc::new(hand.clone());
            let handlers = BTreeMap::from([("hand".to_owned(), handler)]);
            let cx = LoadCx {
                registry: &registry,
                environment: &SystemEnvironment,
                builtin_schemas: &[],
                handlers: &handlers,
                now: START,
            };
            match load_text(Path::new("routes.yaml"), &routes(second), &cx) {
                Ok(loaded) => loaded.config,
                Err(e) => panic!("{e}"),
            }
        });
        Self { configs, hand }
    }

    /// A copy with this run's `retention`.
    fn config(&self, second: bool, keep: u64) -> CompiledConfig {
        let config = &self.configs[usize::from(second)];
        CompiledConfig {
            file: config.file.clone(),
            base_dir: config.base_dir.clone(),
            store: config.store.clone(),
            server: config.server.clone(),
            admin: config.admin.clone(),
            retention: Retention {
                events: Duration::from_secs(keep),
                dead: Duration::from_secs(keep * 2),
            },
            sources: config.sources.clone(),
            sources_by_path: config.sources_by_path.clone(),
            routes: config.routes.clone(),
            route_table: RouteTable::new(config.route_table.all()),
        }
    }
}

/// One life of the process.
struct Process {
    engine: Arc<Engine>,
    life: Arc<Life>,
    worker: Worker,
    store: Arc<SimStore>,
}

/// What the operator, or fate, does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Act {
    Crash,
    Restart,
    Clock,
    Reload,
    Replay,
}

struct Play<'a> {
    world: Arc<World>,
    configs: &'a Plans,
    second: bool,
    weather: Weather,
}

/// Plays a seed's run to its end; what is left to be judged is in the world.
pub(crate) async fn play(flaw: Flaw, configs: &Plans) -> (Arc<World>, Vec<Letter>) {
    BEGAN.set(Some(Instant::now()));
    let weather = Weather::draw();
    note!("{weather:?}");
    let world = Arc::new(World {
        disk: Arc::new(Mutex::new(Disk::new(flaw))),
        sky: Arc::new(Mutex::new(weather.clone())),
        clock: Arc::default(),
        running: Mutex::default(),
        ledger: Mutex::default(),
        acks: Mutex::default(),
        counts: Mutex::default(),
        broken: Mutex::default(),
        calm: AtomicBool::new(false),
    });
    let letters = senders::draw(&weather);
    let senders = senders::send(&world, &letters);
    configs.hand.belongs_to(&world);
    let mut play = Play { world: world.clone(), configs, second: false, weather };
    let process = play.start();
    let process = play.trouble(process).await;
    let process = play.calm(process).await;
    for sender in senders {
        if sender.await.is_err() {
            world.broken("a sender did not come to an end".to_owned());
        }
    }
    play.drain(&process).await;
    play.stop(process).await;
    let panics = lock(&world.disk).panics;
    if panics > 0 {
        lock(&world.counts).insert("panics of the store", panics);
    }
    (world, letters)
}

impl Play<'_> {
    fn start(&self) -> Process {
        let (world, life) = (&self.world, Life::new());
        let store = SimStore::open(world.disk.clone(), life.clone(), world.sky.clone());
        let store = Arc::new(store);
        let config = self.configs.config(self.second, self.weather.keep);
        let engine = Engine::new(config, store.clone(), world.clock.clone());
        let worker = Worker::start(engine.clone(), tokio::runtime::Handle::current());
        *lock(&world.running) = Some((engine.clone(), life.clone()));
        note!("up");
        Process { engine, life, worker, store }
    }

    /// The process is gone, and comes back after a while.
    async fn crash(&self, process: Process) -> Process {
        note!("crash");
        self.world.count("crashes");
        process.life.end();
        *lock(&self.world.running) = None;
        drop(process);
        tokio::time::sleep(Duration::from_millis(fastrand::u64(50..20_000))).await;
        self.start()
    }

    async fn stop(&self, process: Process) {
        note!("stop");
        process.engine.drain();
        process.worker.stop(Duration::from_secs(fastrand::u64(0..15))).await;
        process.store.close().await;
        *lock(&self.world.running) = None;
    }

    async fn trouble(&mut self, mut process: Process) -> Process {
        let all = [
            (Act::Crash, self.weather.crashes),
            (Act::Restart, self.weather.restarts),
            (Act::Clock, self.weather.clock),
            (Act::Reload, self.weather.reloads),
            (Act::Replay, self.weather.replays),
        ];
        let draw = |mean: u64| elapsed_ms() + fastrand::u64(0..=mean * 2_000);
        let mut next: Vec<(u64, Act, u64)> = Vec::new();
        for (act, mean) in all {
            next.extend(mean.map(|mean| (draw(mean), act, mean)));
        }
        let end = self.weather.span * 1_000;
        loop {
            let first = next.iter().copied().min().unwrap_or((end, Act::Clock, 0));
            let until = Duration::from_millis(first.0.min(end).saturating_sub(elapsed_ms()));
            let (life, engine) = (process.life.clone(), process.engine.clone());
            let died = tokio::select! {
                biased;
                () = life.ended() => true,
                () = engine.until_failed() => true,
                () = tokio::time::sleep(until) => false,
            };
            if died {
                process = self.crash(process).await;
                continue;
            }
            if elapsed_ms() >= end {
                return process;
            }
            next.retain(|act| *act != first);
            process = self.act(first.1, process).await;
            next.push((draw(first.2), first.1, first.2));
        }
    }

    async fn act(&mut self, act: Act, process: Process) -> Process {
        note!("{act:?}");
        match act {
            Act::Crash => return self.crash(process).await,
            Act::Restart => {
                self.world.count("restarts");
                self.stop(process).await;
                tokio::time::sleep(Duration::from_millis(fastrand::u64(50..5_000))).await;
                return self.start();
            }
            Act::Clock => {
                self.world.count("clock steps");
                let most = self.weather.clock_step * 1_000;
                let step = fastrand::i64(-most..=most.min(FORWARD_MS));
                // As often as not it is put right again.
                let to = if fastrand::bool() { 0 } else { step };
                self.world.clock.0.store(to, Ordering::SeqCst);
            }
            Act::Reload => {
                self.world.count("reloads");
                self.second = !self.second;
                let config = self.configs.config(self.second, self.weather.keep);
                if let Err(e) = process.engine.reload(config) {
                    self.world.broken(format!("a reload was refused: {e}"));
                }
            }
            Act::Replay => self.replay(&process),
        }
        process
    }

    /// An operator asks for something to run again, and may die with the process.
    fn replay(&self, process: &Process) {
        self.world.count("replays");
        let places: Vec<_> = lock(&self.world.disk).rows.values().map(|r| r.event.id()).collect();
        let one = (!places.is_empty()).then(|| places[fastrand::usize(..places.len())]);
        let (engine, life) = (process.engine.clone(), process.life.clone());
        let route = (fastrand::u8(..4) == 0).then_some("orders");
        let all = fastrand::u8(..3) == 0;
        tokio::spawn(async move {
            let asked = async {
                match one {
                    Some(id) if !all => {
                        let _ = engine.replay_event(id, route).await;
                    }
                    _ => replay_dead(&engine).await,
                }
            };
            tokio::select! {
                biased;
                () = life.ended() => {}
                () = asked => {}
            }
        });
    }

    /// No more trouble: the clock is right, the store and the handlers do as they should.
    async fn calm(&mut self, mut process: Process) -> Process {
        note!("calm");
        let calm = self.weather.clone().calm();
        *lock(&self.world.sky) = calm;
        self.world.calm.store(true, Ordering::SeqCst);
        self.world.clock.0.store(0, Ordering::SeqCst);
        self.second = false;
        // What was begun before may still end badly.
        tokio::time::sleep(Duration::from_secs(60)).await;
        if process.life.has_ended() || process.engine.is_draining() {
            process = self.crash(process).await;
        }
        let config = self.configs.config(false, self.weather.keep);
        if let Err(e) = process.engine.reload(config) {
            self.world.broken(format!("a reload was refused: {e}"));
        }
        process
    }

    /// Until nothing is open; then once more with what is dead.
    async fn drain(&self, process: &Process) {
        for round in 0..2 {
            let began = Instant::now();
            while self.open() > 0 {
                if began.elapsed() > DRAIN {
                    let open = self.open();
                    return self.world.broken(format!("INV-2: {open} jobs never came to an end"));
                }
                tokio::time::sleep(Duration::from_secs(5)).await;
            }
            if round == 0 {
                replay_dead(&process.engine).await;
            }
        }
    }

    fn open(&self) -> usize {
        let open = |state| matches!(state, JobState::Pending | JobState::Running);
        let disk = lock(&self.world.disk);
        disk.rows.values().flat_map(|row| &row.jobs).filter(|job| open(job.state)).count()
    }
}

async fn replay_dead(engine: &Engine) {
    let dead = Filter { status: Some(Status::Dead), ..Filter::default() };
    let _ = engine.replay_matching(&dead, 1_000, false).await;
}
