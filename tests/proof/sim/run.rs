//! One run: senders, processes one after the other over one disk, an operator, and a clock with
//! errors. Everything is on one thread with paused time, so that an hour takes milliseconds and a
//! seed decides all.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hookward_core::keys::NoKeys;
use hookward_core::store::{EventFilter, EventStatus, JobState};
use hookward_core::{EventId, Store};
use hookward_engine::Engine;
use hookward_engine::worker::Worker;
use tokio::time::Instant;

use super::config::Configs;
use super::disk::{Disk, Flaw};
use super::journal::JournalEntry;
use super::real_store::RealStore;
use super::scenario::Scenario;
use super::senders::{self, Delivery};
use super::store::{ProcessLifetime, SimStore, detail, lock};
use super::trace::trace;
use super::world::{World, elapsed_ms, start_time};

/// Once the faults have ended, all jobs must end within this time.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(4 * 3600);

/// Largest forward step of the clock. It is less than [`DRAIN_TIMEOUT`]: a retry that was scheduled
/// while the clock was ahead is due only when the corrected clock gets there.
const MAX_FORWARD_STEP_MS: i64 = 2 * 3_600_000;

/// One process, from start to stop or crash.
struct Process {
    engine: Arc<Engine>,
    lifetime: Arc<ProcessLifetime>,
    worker: Worker,
    store: Arc<SimStore>,
}

/// Something that happens to the process at a drawn time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Action {
    Crash,
    Restart,
    StepClock,
    Reload,
    Replay,
}

struct Simulation<'a> {
    world: Arc<World>,
    configs: &'a Configs,
    /// The second configuration is in force.
    second_config: bool,
    scenario: Scenario,
}

/// Runs a seed to its end; the returned world holds what the invariants are checked against.
pub(crate) async fn simulate(
    flaw: Flaw,
    real: Option<RealStore>,
    configs: &Configs,
) -> (Arc<World>, Vec<Delivery>) {
    start_time();
    let scenario = Scenario::draw();
    trace!("{scenario:?}");
    let mut disk = Disk::new(flaw);
    disk.real = real;
    let world = Arc::new(World {
        disk: Arc::new(Mutex::new(disk)),
        scenario: Arc::new(Mutex::new(scenario.clone())),
        clock: Arc::default(),
        process: Mutex::default(),
        ledger: Mutex::default(),
        acks: Mutex::default(),
        counts: Mutex::default(),
        violations: Mutex::default(),
        faults_ended: AtomicBool::new(false),
    });
    let deliveries = senders::draw(&scenario);
    let senders = senders::spawn(&world, &deliveries);
    configs.handler.attach(&world);
    let mut simulation =
        Simulation { world: world.clone(), configs, second_config: false, scenario };
    let process = simulation.start();
    let process = simulation.run_with_faults(process).await;
    let process = simulation.end_faults(process).await;
    for sender in senders {
        if sender.await.is_err() {
            world.record_violation("a sender's task panicked".to_owned());
        }
    }
    simulation.drain(&process).await;
    compare_with_real_store(&world);
    simulation.stop(process).await;
    let panics = lock(&world.disk).panics;
    if panics > 0 {
        lock(&world.counts).insert("panics of the store", panics);
    }
    (world, deliveries)
}

/// Compares every event with the real store, and records what both stores disagree on.
fn compare_with_real_store(world: &World) {
    let mut disk = lock(&world.disk);
    let Some(mut real) = disk.real.take() else { return };
    for entry in &disk.journal {
        let JournalEntry::Accepted { event, .. } = entry else { continue };
        let row = disk.positions.get(event).and_then(|position| disk.rows.get(position));
        real.compare_event(*event, row.map(detail).as_ref());
    }
    for disagreement in std::mem::take(&mut real.disagreements) {
        world.record_violation(format!("sqlite: {disagreement}"));
    }
    let mut counts = lock(&world.counts);
    counts.insert("calls of the real store", real.calls);
    counts.insert("opens of the real store", real.opens);
    real.close();
}

impl Simulation<'_> {
    fn start(&self) -> Process {
        let (world, lifetime) = (&self.world, ProcessLifetime::new());
        let store = SimStore::open(world.disk.clone(), lifetime.clone(), world.scenario.clone());
        let store = Arc::new(store);
        let config = self.configs.compiled(self.second_config, self.scenario.retention_secs);
        // From the seed, like everything else, so that a run can be repeated.
        let seeded_id = |now| {
            let mut random = [0; 10];
            fastrand::fill(&mut random);
            EventId::from_random(now, random)
        };
        let (store_handle, clock) = (store.clone(), world.clock.clone());
        let engine =
            Engine::with_event_ids(config, store_handle, clock, Arc::new(NoKeys), seeded_id);
        let worker = Worker::start(engine.clone(), tokio::runtime::Handle::current());
        *lock(&world.process) = Some((engine.clone(), lifetime.clone()));
        trace!("start");
        Process { engine, lifetime, worker, store }
    }

    /// Kills the process and starts another after a while.
    async fn crash(&self, process: Process) -> Process {
        trace!("crash");
        self.world.count("crashes");
        process.lifetime.end();
        *lock(&self.world.process) = None;
        drop(process);
        tokio::time::sleep(Duration::from_millis(fastrand::u64(50..20_000))).await;
        self.start()
    }

    async fn stop(&self, process: Process) {
        trace!("stop");
        process.engine.drain();
        process.worker.stop(Duration::from_secs(fastrand::u64(0..15))).await;
        process.store.close().await;
        *lock(&self.world.process) = None;
    }

    /// Runs until the faulty part of the scenario is over, with each kind of action at its own
    /// intervals.
    async fn run_with_faults(&mut self, mut process: Process) -> Process {
        let actions = [
            (Action::Crash, self.scenario.crashes),
            (Action::Restart, self.scenario.restarts),
            (Action::StepClock, self.scenario.clock_steps),
            (Action::Reload, self.scenario.reloads),
            (Action::Replay, self.scenario.replays),
        ];
        let draw = |mean: u64| elapsed_ms() + fastrand::u64(0..=mean * 2_000);
        let mut next: Vec<(u64, Action, u64)> = Vec::new();
        for (action, mean) in actions {
            next.extend(mean.map(|mean| (draw(mean), action, mean)));
        }
        let end = self.scenario.faulty_secs * 1_000;
        loop {
            let first = next.iter().copied().min().unwrap_or((end, Action::StepClock, 0));
            let until = Duration::from_millis(first.0.min(end).saturating_sub(elapsed_ms()));
            let (lifetime, engine) = (process.lifetime.clone(), process.engine.clone());
            let died = tokio::select! {
                biased;
                () = lifetime.ended() => true,
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
            next.retain(|action| *action != first);
            process = self.perform(first.1, process).await;
            next.push((draw(first.2), first.1, first.2));
        }
    }

    async fn perform(&mut self, action: Action, process: Process) -> Process {
        trace!("{action:?}");
        match action {
            Action::Crash => return self.crash(process).await,
            Action::Restart => {
                self.world.count("restarts");
                self.stop(process).await;
                tokio::time::sleep(Duration::from_millis(fastrand::u64(50..5_000))).await;
                return self.start();
            }
            Action::StepClock => {
                self.world.count("clock steps");
                let max_ms = self.scenario.max_clock_step * 1_000;
                let step = fastrand::i64(-max_ms..=max_ms.min(MAX_FORWARD_STEP_MS));
                // Half of the steps correct the clock.
                self.world.clock.set_error_ms(if fastrand::bool() { 0 } else { step });
            }
            Action::Reload => {
                self.world.count("reloads");
                self.second_config = !self.second_config;
                let config =
                    self.configs.compiled(self.second_config, self.scenario.retention_secs);
                if let Err(e) = process.engine.reload(config) {
                    self.world.record_violation(format!("a reload failed: {e}"));
                }
            }
            Action::Replay => self.replay(&process),
        }
        process
    }

    /// Replays one event or all dead jobs, as an operator does; a crash cancels the request.
    fn replay(&self, process: &Process) {
        self.world.count("replays");
        let ids: Vec<_> = lock(&self.world.disk).rows.values().map(|r| r.event.id()).collect();
        let one = (!ids.is_empty()).then(|| ids[fastrand::usize(..ids.len())]);
        let (engine, lifetime) = (process.engine.clone(), process.lifetime.clone());
        let route = (fastrand::u8(..4) == 0).then_some("orders");
        let all = fastrand::u8(..3) == 0;
        tokio::spawn(async move {
            let replay = async {
                match one {
                    Some(id) if !all => {
                        let _ = engine.replay_event(id, route).await;
                    }
                    _ => replay_dead(&engine).await,
                }
            };
            tokio::select! {
                biased;
                () = lifetime.ended() => {}
                () = replay => {}
            }
        });
    }

    /// Ends all faults: the clock is right, and the store and the handlers work.
    async fn end_faults(&mut self, mut process: Process) -> Process {
        trace!("faults end");
        *lock(&self.world.scenario) = self.scenario.clone().without_faults();
        self.world.faults_ended.store(true, Ordering::SeqCst);
        self.world.clock.set_error_ms(0);
        self.second_config = false;
        // A commit that began before the faults ended may still fail the store.
        tokio::time::sleep(Duration::from_secs(60)).await;
        if process.lifetime.has_ended() || process.engine.is_draining() {
            process = self.crash(process).await;
        }
        let config = self.configs.compiled(false, self.scenario.retention_secs);
        if let Err(e) = process.engine.reload(config) {
            self.world.record_violation(format!("a reload failed: {e}"));
        }
        process
    }

    /// Waits until no job is open, replays the dead ones, and waits again.
    async fn drain(&self, process: &Process) {
        for round in 0..2 {
            let start = Instant::now();
            while self.open_jobs() > 0 {
                if start.elapsed() > DRAIN_TIMEOUT {
                    let open = self.open_jobs();
                    return self.world.record_violation(format!(
                        "INV-2: {open} jobs are still open {DRAIN_TIMEOUT:?} after the faults ended"
                    ));
                }
                tokio::time::sleep(Duration::from_secs(5)).await;
            }
            if round == 0 {
                replay_dead(&process.engine).await;
            }
        }
    }

    fn open_jobs(&self) -> usize {
        let open = |state| matches!(state, JobState::Pending | JobState::Running);
        let disk = lock(&self.world.disk);
        disk.rows.values().flat_map(|row| &row.jobs).filter(|job| open(job.state)).count()
    }
}

/// Replays all dead jobs.
async fn replay_dead(engine: &Engine) {
    let dead = EventFilter::new().with_status(EventStatus::Dead);
    let _ = engine.replay_matching(&dead, 1_000, false).await;
}
