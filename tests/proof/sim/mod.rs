//! Suite `sim`: the ingest pipeline and the worker on one thread in simulated time. It proves that
//! every acknowledged event is stored once, runs to its end in order, and keeps its bytes, through
//! crashes, restarts, clock steps, reloads and replays, over a store whose commits are slow, fail,
//! panic, or die with the process, and with senders that repeat, give up and forge, and handlers
//! that fail.
//!
//! Some runs have the real SQLite store beside the simulated one ([`real_store`]): both must agree on
//! every call, and the invariants check the order in which the real one runs jobs.
//!
//! A seed is a run: everything that happens follows from it. The oracle is [`invariants`], which
//! compares the journal of the simulated store, the runs of the handler and the senders' answers
//! after each run. The canaries are five flawed stores ([`disk::Flaw`]), of which the oracle must
//! find each.
//!
//! ```text
//! cargo test -p hookward-cli --test proof -- sim --runs 20000
//! cargo test -p hookward-cli --test proof -- sim --seed 1234 --runs 1   # one run, with trace
//! ```

mod config;
pub(crate) mod disk;
mod faults;
pub(crate) mod handler;
pub(crate) mod invariants;
pub(crate) mod journal;
mod real_store;
mod rows;
mod run;
mod scenario;
mod senders;
pub(crate) mod store;
mod trace;
mod world;

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use hookward_core::{Store, Timestamp};
use hookward_testkit::store::Subject;
use hookward_testkit::store::model::{ModelOptions, find};

use crate::RunOptions;
use config::Configs;
use disk::{Disk, Flaw};
use real_store::RealStore;
use scenario::Scenario;
use store::{ProcessLifetime, SimStore};
use world::Counts;

/// Message of every panic that a suite causes on purpose.
pub(crate) const SCRIPTED_PANIC: &str = "a panic that the suite scripted";

/// Seeds of the short form; the default of the other suites is too few for runs of some
/// milliseconds.
const SHORT_FORM_SEEDS: usize = 300;
/// One of this number of seeds also runs over the real store, which takes longer.
const REAL_STORE_SHARE: usize = 15;
/// A flawed store must be found within this number of seeds.
const CANARY_SEEDS: u64 = 60;
/// Seeds that run twice, to compare the traces.
const DETERMINISM_SEEDS: u64 = 10;

/// Counters that a run of [`SHORT_FORM_SEEDS`] seeds or more must have raised: a suite in which one
/// of these never happens proves less than it says.
const REQUIRED_COUNTS: [&str; 13] = [
    "acknowledged",
    "repetitions sent",
    "503",
    "other rejections",
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

pub(crate) fn run(options: &RunOptions) -> Result<String, String> {
    silence_scripted_panics();
    check_store_contract()?;
    let determinism = check_determinism(options.seed)?;
    let canaries = check_canaries(options.seed)?;
    let runs = if options.short { SHORT_FORM_SEEDS } else { options.runs };
    let options = RunOptions { runs, ..options.clone() };
    let (mut done, mut counts, mut simulated_ms) = (0, Counts::new(), 0);
    while options.wants_another(done) {
        let seed = options.seed.wrapping_add(done as u64);
        let result = run_seed(seed, Flaw::None, false);
        if !result.violations.is_empty() {
            return Err(report_failure(seed));
        }
        for (what, n) in result.counts {
            *counts.entry(what).or_default() += n;
        }
        simulated_ms += result.simulated_ms;
        done += 1;
    }
    let real = check_real_store(&options, runs)?;
    let enough = done >= SHORT_FORM_SEEDS;
    if let Some(absent) = REQUIRED_COUNTS.iter().find(|what| enough && !counts.contains_key(*what))
    {
        return Err(format!("{done} runs had no {absent}, so they prove nothing about these"));
    }
    let counts: Vec<_> = counts.iter().map(|(what, n)| format!("{n} {what}")).collect();
    Ok(format!(
        "{done} runs, {} simulated hours, 0 violations; {}; {real}; {determinism}; canaries: {canaries}",
        simulated_ms / 3_600_000,
        counts.join(", ")
    ))
}

/// Result of one run.
struct RunResult {
    violations: Vec<String>,
    counts: Counts,
    trace_hash: u64,
    simulated_ms: u64,
}

fn run_seed(seed: u64, flaw: Flaw, retain_trace: bool) -> RunResult {
    run_seed_over(seed, flaw, retain_trace, None)
}

fn run_seed_over(seed: u64, flaw: Flaw, retain_trace: bool, real: Option<RealStore>) -> RunResult {
    fastrand::seed(seed);
    trace::begin(retain_trace);
    thread_local! {
        static CONFIGS: Configs = Configs::load();
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    CONFIGS.with(|configs| {
        runtime.block_on(async {
            let (world, deliveries) = run::simulate(flaw, real, configs).await;
            let violations = invariants::check(&world, &deliveries);
            let counts = world.counts.lock().expect("no panic while locked").clone();
            let (trace_hash, simulated_ms) = (trace::hash(), world::elapsed_ms());
            RunResult { violations, counts, trace_hash, simulated_ms }
        })
    })
}

/// Runs a part of the seeds with the real SQLite store as well, and the canary: a crash that loses its
/// log.
fn check_real_store(options: &RunOptions, runs: usize) -> Result<String, String> {
    let canary = (0..CANARY_SEEDS).find_map(|n| {
        let seed = options.seed.wrapping_add(n);
        let result = run_seed_over(seed, Flaw::None, false, Some(RealStore::new(true)));
        result.violations.into_iter().find(|violation| violation.starts_with("sqlite"))
    });
    if canary.is_none() {
        return Err("the canary, an SQLite store that loses its log, was not found".to_owned());
    }
    let seeds = (runs / REAL_STORE_SHARE).max(1);
    let (mut calls, mut opens) = (0, 0);
    for n in 0..seeds {
        let seed = options.seed.wrapping_add(n as u64);
        let result = run_seed_over(seed, Flaw::None, false, Some(RealStore::new(false)));
        if !result.violations.is_empty() {
            let first: Vec<_> = result.violations.into_iter().take(3).collect();
            return Err(format!("seed {seed} over the SQLite store: {}", first.join("\n")));
        }
        calls += result.counts.get("calls of the real store").copied().unwrap_or(0);
        opens += result.counts.get("opens of the real store").copied().unwrap_or(0);
    }
    Ok(format!(
        "{seeds} of the runs over the SQLite store too: {calls} calls, {opens} opens, both stores agree"
    ))
}

/// Repeats the run of a seed and writes its trace to a file that the report names.
fn report_failure(seed: u64) -> String {
    let result = run_seed(seed, Flaw::None, true);
    let path = std::env::temp_dir().join(format!("hookward-sim-{seed}.txt"));
    let written = std::fs::write(&path, trace::lines().join("\n")).is_ok();
    let trace = if written { format!("; its trace is {}", path.display()) } else { String::new() };
    format!("--seed {seed} --runs 1: {}{trace}", result.violations.join("\n"))
}

/// Checks that a seed makes the same run each time: without that, no failure could be repeated.
fn check_determinism(seed: u64) -> Result<String, String> {
    for seed in (0..DETERMINISM_SEEDS).map(|n| seed.wrapping_add(n)) {
        let first = run_seed(seed, Flaw::None, true);
        let first_lines = trace::lines();
        let second = run_seed(seed, Flaw::None, true);
        if first.trace_hash != second.trace_hash {
            let lines = trace::lines();
            let line = first_lines.iter().zip(&lines).position(|(a, b)| a != b).unwrap_or(0);
            let (a, b) = (first_lines.get(line), lines.get(line));
            return Err(format!(
                "seed {seed} made two different runs, from line {line} of the trace:\n{a:?}\n{b:?}"
            ));
        }
    }
    Ok(format!("{DETERMINISM_SEEDS} seeds run twice with the same trace"))
}

/// Checks that the invariants find each flaw of the simulated store.
fn check_canaries(seed: u64) -> Result<String, String> {
    use Flaw::{AckEarly, DedupeOutside, ForgetsRunning, NoFencing, NoOrder};
    let mut found = Vec::new();
    for flaw in [AckEarly, NoFencing, DedupeOutside, NoOrder, ForgetsRunning] {
        let first = (0..CANARY_SEEDS).find_map(|n| {
            let result = run_seed(seed.wrapping_add(n), flaw, false);
            Some((n + 1, result.violations.into_iter().next()?))
        });
        let Some((n, violation)) = first else {
            return Err(format!("the canary {flaw:?} was not found in {CANARY_SEEDS} runs"));
        };
        let invariant: String = violation.chars().take_while(|c| *c != ':').collect();
        found.push(format!("{flaw:?} in run {n} by {invariant}"));
    }
    Ok(found.join(", "))
}

/// Checks the simulated store against the store contract, as any other store: what the simulation
/// finds would otherwise be faults of its own store.
fn check_store_contract() -> Result<(), String> {
    struct WithoutFaults(Arc<Mutex<Disk>>);
    #[async_trait]
    impl Subject for WithoutFaults {
        async fn open(&self, _: Timestamp) -> Arc<dyn Store> {
            let scenario = Arc::new(Mutex::new(Scenario::draw().instant_commits()));
            Arc::new(SimStore::open(self.0.clone(), ProcessLifetime::new(), scenario))
        }
    }
    find(|| WithoutFaults(Arc::new(Mutex::new(Disk::new(Flaw::None)))), ModelOptions::default())
        .map_err(|e| format!("the simulated store breaks the contract: {e}"))
}

/// Keeps scripted panics out of the output, where they would look like failures.
pub(crate) fn silence_scripted_panics() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if panic.payload_as_str() != Some(SCRIPTED_PANIC) {
            before(panic);
        }
    }));
}
