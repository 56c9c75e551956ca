//! A simulation of accepting and working: the engine as it is, on one thread, in simulated time, over a
//! store whose commits are slow, fail, and die with the process; with senders that repeat themselves,
//! handlers that fail, an operator, and a clock that goes wrong. A seed is a run: everything that
//! happens follows from it, and each run is judged by the invariants.
//!
//! ```text
//! cargo test -p hookward-cli --test proof -- sim --runs 20000
//! cargo test -p hookward-cli --test proof -- sim --seed 1234 --runs 1     # that run again, told
//! ```

pub(crate) mod disk;
mod faults;
pub(crate) mod handler;
pub(crate) mod invariants;
mod rows;
mod senders;
pub(crate) mod store;
mod trace;
mod world;

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use hookward_core::{Store, Timestamp};
use hookward_testkit::store::Subject;
use hookward_testkit::store::model::{ModelOptions, find};

use crate::Extent;
use disk::{Disk, Flaw};
use faults::Weather;
use store::{Life, SimStore};
use world::Counts;

/// What a handler or a store says that panics because it was told to.
pub(crate) const SCRIPTED: &str = "the weather says panic";

/// Seeds of the short form, over and above what the command line says.
const SHORT: usize = 300;
/// A flawed store must be found out within so many.
const CANARY: u64 = 60;
/// So many runs are made twice and compared.
const TWICE: u64 = 10;

/// What must have happened in a run of many seeds.
const SEEN: [&str; 13] = [
    "acknowledged",
    "repetitions sent",
    "503",
    "other refusals",
    "crashes",
    "restarts",
    "clock steps",
    "reloads",
    "replays",
    "hangs",
    "panics",
    "panics of the store",
    "fatal",
];

pub(crate) fn run(extent: &Extent) -> Result<String, String> {
    quiet();
    honest()?;
    let twice = deterministic(extent.seed)?;
    let canaries = canaries(extent.seed)?;
    // The short form of the other suites is too short for runs of some milliseconds.
    let runs = if extent.short { SHORT } else { extent.runs };
    let extent = Extent { runs, ..extent.clone() };
    let (mut done, mut counts, mut simulated) = (0, Counts::new(), 0);
    while extent.goes_on(done) {
        let seed = extent.seed.wrapping_add(done as u64);
        let played = one(seed, Flaw::None, false);
        if !played.broken.is_empty() {
            return Err(told(seed));
        }
        for (what, n) in played.counts {
            *counts.entry(what).or_default() += n;
        }
        simulated += played.ms;
        done += 1;
    }
    if let Some(unseen) = SEEN.iter().find(|what| done >= SHORT && !counts.contains_key(*what)) {
        return Err(format!("in {done} runs there were no {unseen}"));
    }
    let counts: Vec<_> = counts.iter().map(|(what, n)| format!("{n} {what}")).collect();
    Ok(format!(
        "{done} runs, {} simulated hours, 0 broken; {}; {twice}; canaries: {canaries}",
        simulated / 3_600_000,
        counts.join(", ")
    ))
}

/// What a run came to.
struct Played {
    broken: Vec<String>,
    counts: Counts,
    hash: u64,
    ms: u64,
}

fn one(seed: u64, flaw: Flaw, kept: bool) -> Played {
    fastrand::seed(seed);
    trace::begin(kept);
    thread_local! {
        static PLANS: world::Plans = world::Plans::read();
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    PLANS.with(|configs| {
        runtime.block_on(async {
            let (world, letters) = world::play(flaw, configs).await;
            let broken = invariants::judge(&world, &letters);
            let counts = world.counts.lock().expect("not poisoned").clone();
            Played { broken, counts, hash: trace::hash(), ms: world::elapsed_ms() }
        })
    })
}

/// Plays it once more and tells it.
fn told(seed: u64) -> String {
    let played = one(seed, Flaw::None, true);
    let tail = trace::tail(usize::MAX);
    let path = std::env::temp_dir().join(format!("hookward-sim-{seed}.txt"));
    let kept = std::fs::write(&path, tail.join("\n")).is_ok();
    let at = if kept { format!("; all of it in {}", path.display()) } else { String::new() };
    format!("--seed {seed} --runs 1: {}{at}", played.broken.join("\n"))
}

/// The same seed makes the same run.
fn deterministic(seed: u64) -> Result<String, String> {
    for seed in (0..TWICE).map(|n| seed.wrapping_add(n)) {
        let (first, second) = (one(seed, Flaw::None, true), trace::tail(usize::MAX));
        let again = one(seed, Flaw::None, true);
        if first.hash != again.hash {
            let third = trace::tail(usize::MAX);
            let differs = second.iter().zip(&third).position(|(a, b)| a != b).unwrap_or(0);
            let (a, b) = (second.get(differs), third.get(differs));
            return Err(format!("seed {seed} made two runs, from line {differs}:\n{a:?}\n{b:?}"));
        }
    }
    Ok(format!("{TWICE} of them twice, the same"))
}

/// Each flaw of the store is found.
fn canaries(seed: u64) -> Result<String, String> {
    use Flaw::{AckEarly, DedupeOutside, ForgetsRunning, NoFencing, NoOrder};
    let mut found = Vec::new();
    for flaw in [AckEarly, NoFencing, DedupeOutside, NoOrder, ForgetsRunning] {
        let caught = (0..CANARY).find_map(|n| {
            let played = one(seed.wrapping_add(n), flaw, false);
            Some((n + 1, played.broken.into_iter().next()?))
        });
        let Some((n, what)) = caught else {
            return Err(format!("the canary {flaw:?} went through {CANARY} runs"));
        };
        let invariant: String = what.chars().take_while(|c| *c != ':').collect();
        found.push(format!("{flaw:?} in run {n} by {invariant}"));
    }
    Ok(found.join(", "))
}

/// The simulated store keeps the contract, where it is not told to break it.
fn honest() -> Result<(), String> {
    struct Still(Arc<Mutex<Disk>>);
    #[async_trait]
    impl Subject for Still {
        async fn open(&self, _: Timestamp) -> Arc<dyn Store> {
            let sky = Arc::new(Mutex::new(Weather::draw().still()));
            Arc::new(SimStore::open(self.0.clone(), Life::new(), sky))
        }
    }
    find(|| Still(Arc::new(Mutex::new(Disk::new(Flaw::None)))), ModelOptions::default())
        .map_err(|e| format!("the simulated store: {e}"))
}

/// Panics that were asked for are not told.
pub(crate) fn quiet() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let scripted = panic.payload_as_str() == Some(SCRIPTED);
        if !scripted {
            before(panic);
        }
    }));
}
