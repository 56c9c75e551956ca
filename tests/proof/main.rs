//! The proofs of `docs/guarantees.md`: suites that injure the real server or the engine and then
//! check that nothing acknowledged is lost. Each suite is a sub-command:
//!
//! ```text
//! cargo test -p hookward-cli --test proof -- kill --runs 300 --seed 7
//! cargo test -p hookward-cli --test proof -- power-cut --minutes 2
//! ```
//!
//! `--seed` repeats a run; `--runs` and `--minutes` set its length. Without a sub-command, each
//! suite runs in its short form. Each suite has an oracle, which says what must hold, and a canary:
//! a known defect that the oracle must find. A suite that misses its canary proves nothing and
//! fails.
//!
//! Words of all suites: an event is *acknowledged* when it was answered with 2xx; a *lost* event is
//! acknowledged and not stored; an *effect* is what a handler did outside the store; a *further*
//! run or effect is one beyond the first; a *case* is one run of a table or of a list of faults.
#![allow(unused_crate_dependencies, reason = "the crates of the binary are not all needed here")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod adversary;
mod causes;
mod checker;
mod clocks;
mod descriptors;
mod disk;
mod duplicates;
mod effect_sink;
mod failed_start;
mod fault;
mod files;
mod flips;
mod genuine_sender;
#[path = "../e2e/http.rs"]
#[allow(dead_code, reason = "shared with the end-to-end tests, which use all of it")]
mod http;
mod kill;
mod load;
mod malformed;
mod mid_handler;
mod operations;
mod order;
mod overload;
mod power_cut;
mod process_stats;
mod raw_http;
mod recovery;
#[path = "../e2e/sender.rs"]
#[allow(dead_code, reason = "shared with the end-to-end tests, which use all of it")]
mod sender;
#[path = "../e2e/server.rs"]
#[allow(dead_code, reason = "shared with the end-to-end tests, which use all of it")]
mod server;
mod sim;
mod slow;
mod sweep;
mod timing;

use std::process::ExitCode;
use std::time::{Duration, Instant};

/// How long a suite runs, and its seed.
#[derive(Debug, Clone)]
pub(crate) struct RunOptions {
    pub(crate) seed: u64,
    pub(crate) runs: usize,
    pub(crate) until: Option<Instant>,
    /// The short form: neither `--runs` nor `--minutes` is given.
    pub(crate) short: bool,
}

impl RunOptions {
    /// Returns whether another run is wanted after `done` runs.
    pub(crate) fn wants_another(&self, done: usize) -> bool {
        match self.until {
            Some(until) => Instant::now() < until,
            None => done < self.runs,
        }
    }
}

/// Runs a suite; returns a summary of what it proved or skipped, or the failure that it found.
type Suite = fn(&RunOptions) -> Result<String, String>;

/// Suites that run only when they are named. Their results depend on how the kernel queues
/// connections and writes data back, too much for a test that every change must pass.
const ONLY_BY_NAME: [&str; 2] = ["descriptors", "disk"];

/// Runs of a suite without `--runs` and `--minutes`, unless the suite has its own number.
const DEFAULT_RUNS: usize = 20;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    // Test runners such as nextest pass `--list`, which must not start a suite.
    if args.iter().any(|a| a == "--list") {
        return ExitCode::SUCCESS;
    }
    if args.iter().any(|a| a == adversary::EVALUATE_UNBOUNDED) {
        return adversary::evaluate_unbounded();
    }
    if args.first().is_some_and(|a| a == timing::COMPARE_SECRETS) {
        return timing::compare_secrets(args.last().is_some_and(|how| how == "operator"));
    }
    let value = |name: &str| {
        let at = args.iter().position(|a| a == name)?;
        args.get(at + 1)?.parse::<u64>().ok()
    };
    let suite = args.first().filter(|a| !a.starts_with('-')).map(String::as_str);
    let seed = value("--seed").unwrap_or_else(|| fastrand::u64(..));
    let until = value("--minutes").map(|m| Instant::now() + Duration::from_secs(m * 60));
    let options = |short: usize| {
        let runs = value("--runs").and_then(|n| usize::try_from(n).ok()).unwrap_or(short);
        let short = until.is_none() && value("--runs").is_none();
        RunOptions { seed, runs, until, short }
    };
    let suites: [(&str, Suite); 19] = [
        ("kill", kill::run),
        ("sim", sim::run),
        ("power-cut", power_cut::run),
        ("sweep", sweep::run),
        ("operations", operations::run),
        ("mid-handler", mid_handler::run),
        ("recovery", recovery::run),
        ("slow", slow::run),
        ("descriptors", descriptors::run),
        ("overload", overload::run),
        ("malformed", malformed::run),
        ("disk", disk::run),
        ("duplicates", duplicates::run),
        ("order", order::run),
        ("timing", timing::run),
        ("flips", flips::run),
        ("files", files::run),
        ("clocks", clocks::run),
        ("adversary", adversary::run),
    ];
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    for (name, run) in suites {
        let wanted = suite.map_or(!ONLY_BY_NAME.contains(&name), |wanted| wanted == name);
        if !wanted {
            continue;
        }
        match run(&options(DEFAULT_RUNS)) {
            Ok(summary) if summary.starts_with("SKIP") && is_skip_a_failure() => {
                failed += 1;
                println!("{name}: FAILED: {summary}; HOOKWARD_REQUIRE_SERVICES allows no SKIP");
            }
            Ok(summary) if summary.starts_with("SKIP") => {
                skipped += 1;
                println!("{name}: {summary}");
            }
            Ok(summary) => {
                passed += 1;
                println!("{name}: ok, {summary}");
            }
            Err(failure) => {
                failed += 1;
                println!("{name}: FAILED (--seed {seed}): {failure}");
            }
        }
    }
    println!("{passed} passed, {failed} failed, {skipped} skipped");
    if failed > 0 || passed + skipped == 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Whether a suite that cannot run here fails the whole run, as in `.ci/run`, which installs what
/// the suites need.
fn is_skip_a_failure() -> bool {
    std::env::var_os("HOOKWARD_REQUIRE_SERVICES").is_some_and(|value| value == "1")
}
