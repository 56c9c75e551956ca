//! Suite `operations`: every failing operation of a store. Each call of each operation fails before
//! or after it takes effect, finds the store full, failed or closed, takes 3 s, or panics, once or
//! from then on, one run each. The engine and the store behind [`faulty_store`] are the real ones,
//! in this process.
//!
//! It proves that no 2xx is sent without a commit, that every answer comes within 3 s, that no
//! panic escapes and no loop of the worker ends, and that work continues without a restart unless
//! the store has failed. The oracle is [`invariants`], over what is stored after a second process
//! has finished the work. The canaries are a store that reports an accept that it did not do, a
//! claim that never returns, and an operator's call outside the panic guard.
//!
//! ```text
//! cargo test -p hookward-cli --test proof -- operations --runs 100000   # all of them
//! ```

mod faulty_store;
mod handler;
mod invariants;
mod run;
mod senders;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use faulty_store::{FaultKind, FaultPoint, FaultScope};
use run::{RunResult, prepare_store, run_with_fault};

use crate::RunOptions;
use crate::fault::trial::{run_parallel, temp_dir};
use crate::sim::silence_scripted_panics;

/// Runs at the same time.
const PARALLEL_RUNS: usize = 4;

/// All operations of a store that can fail. The workload calls each of them.
const OPERATIONS: [&str; 15] = [
    "accept",
    "check",
    "claim",
    "close",
    "depth",
    "extend",
    "find",
    "list",
    "next_due",
    "purge",
    "replay",
    "retention_state",
    "save_retention_state",
    "settle",
    "show",
];

pub(crate) fn run(options: &RunOptions) -> Result<String, String> {
    silence_scripted_panics();
    let template = temp_dir();
    prepare_store(template.path())?;
    let without_fault = run_with_fault(template.path(), None, false)?;
    if !without_fault.violations.is_empty() || without_fault.store_failed {
        return Err(format!("without a fault: {}", without_fault.violations.join("\n")));
    }
    let called: BTreeSet<_> = without_fault.calls.iter().copied().collect();
    if !called.iter().eq(&OPERATIONS) {
        return Err(format!("the workload calls only {called:?} of {OPERATIONS:?}"));
    }
    let canaries = check_canaries(template.path())?;
    let mut points = fault_points(&without_fault.calls);
    let all = points.len();
    fastrand::Rng::with_seed(options.seed).shuffle(&mut points);
    if options.short {
        // The short form has each kind of fault in each operation in one drawn call and scope.
        let mut seen = BTreeSet::new();
        points.retain(|p| seen.insert((p.operation, p.kind)));
    }
    let wants_another = |n: usize| options.short || options.wants_another(n);
    let results = run_parallel(PARALLEL_RUNS, &points, wants_another, |point| {
        let result = run_with_fault(template.path(), Some(*point), false).and_then(|result| {
            let violations = result.violations.join("\n");
            if violations.is_empty() { Ok(result) } else { Err(violations) }
        });
        let FaultPoint { kind, scope, operation, nth } = point;
        let fault = format!("{kind:?} in call {nth} of `{operation}`, {scope:?}");
        result.map(|result| (point.kind, result)).map_err(|e| format!("{fault}: {e}"))
    })?;
    Ok(summary(&results, all, without_fault.calls.len(), &canaries))
}

fn summary(results: &[(FaultKind, RunResult)], all: usize, calls: usize, canaries: &str) -> String {
    let mut kinds: BTreeMap<FaultKind, usize> = BTreeMap::new();
    for (kind, result) in results {
        *kinds.entry(*kind).or_default() += usize::from(result.injected);
    }
    let injected: usize = kinds.values().sum();
    let kinds: Vec<_> = kinds.iter().map(|(kind, n)| format!("{n} {kind:?}")).collect();
    let sum = |count: fn(&RunResult) -> usize| results.iter().map(|(_, r)| count(r)).sum::<usize>();
    format!(
        "{} of {all} runs over {calls} calls of {} operations; {injected} faults injected ({}), {} ended with a failed store; {} acknowledged, {} stored, 0 lost; canaries: {canaries}",
        results.len(),
        OPERATIONS.len(),
        kinds.join(", "),
        sum(|result| usize::from(result.store_failed)),
        sum(|result| result.acknowledged),
        sum(|result| result.stored),
    )
}

/// Returns every call with every fault that makes sense for it.
fn fault_points(calls: &[&'static str]) -> Vec<FaultPoint> {
    let mut points = Vec::new();
    for (at, operation) in calls.iter().enumerate() {
        let nth = calls[..at].iter().filter(|before| before == &operation).count();
        for kind in FaultKind::ALL {
            for scope in [FaultScope::Once, FaultScope::Operation, FaultScope::All] {
                // After such a fault every later call fails anyway.
                let redundant = kind.ends_store() && scope != FaultScope::Once;
                // `close` returns nothing, so it cannot fail, and it is the last call.
                let no_error = matches!(
                    kind,
                    FaultKind::PanicBefore | FaultKind::PanicAfter | FaultKind::Delay
                );
                let impossible = *operation == "close" && !(no_error && scope == FaultScope::Once);
                if !redundant && !impossible {
                    points.push(FaultPoint { kind, scope, operation, nth });
                }
            }
        }
    }
    points
}

/// Checks that the oracle finds each canary, by a violation that contains the given text.
fn check_canaries(template: &Path) -> Result<String, String> {
    let fault =
        |kind, operation| FaultPoint { kind, scope: FaultScope::Operation, operation, nth: 0 };
    let canaries = [
        (
            "a store that reports an accept that it did not do",
            fault(FaultKind::FalseAccept, "accept"),
            false,
            "INV-1",
        ),
        ("a claim that never returns", fault(FaultKind::Hang, "claim"), false, "INV-2"),
        (
            "an operator's call outside the panic guard",
            fault(FaultKind::PanicBefore, "list"),
            true,
            "a panic reached",
        ),
    ];
    let mut found = Vec::new();
    for (what, point, outside_guard, expected) in canaries {
        let violations = match run_with_fault(template, Some(point), outside_guard) {
            Ok(result) => result.violations.join("\n"),
            Err(e) => e,
        };
        if !violations.contains(expected) {
            return Err(format!(
                "the canary, {what}, is not found: expected `{expected}` in {violations:?}"
            ));
        }
        found.push(format!("{what} by {expected}"));
    }
    Ok(found.join(", "))
}
