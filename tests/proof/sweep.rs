//! Suite `sweep`: every failing storage call. Each storage call of a small workload fails once, or
//! from then on, one run each: with an I/O error, a full disk, an exceeded quota, a short write, or
//! a delay of seconds. Each run ends in a drain, a kill or a power cut.
//!
//! It proves that no 2xx is sent without a commit, that answers come in time, and that the process
//! continues or exits with 70 and says why. The oracle is [`crate::fault::trial`]. The canary is a
//! disk that reports syncs without doing them, followed by a power cut.

use std::collections::BTreeMap;
use std::time::Duration;

use hookward_core::store::StoreError;

use crate::RunOptions;
use crate::fault::process::Ended;
use crate::fault::trial::{FILE_STEP, Findings, Fixture, run_parallel};
use crate::fault::{ALL_CALLS, Fault, Shim};
use crate::recovery::{LARGE_EVENT_PADDING, STORE, sample_calls};

/// Syncs. All of them are in the short form, too, because every 200 rests on one.
const SYNC_CALLS: &str = "s";

/// The fault of an exceeded quota. The write had no effect, so the store must continue.
const QUOTA: &str = "edquot";

/// Kinds of faults, the calls in which they can happen, and whether all later calls fail, too.
const KINDS: [(&str, &str, bool); 10] = [
    ("eio", SYNC_CALLS, false),
    ("eio", ALL_CALLS, false),
    ("eio", ALL_CALLS, true),
    ("enospc", "owstnm", false),
    ("enospc", "owstnm", true),
    (QUOTA, "w", false),
    (QUOTA, "w", true),
    ("short", "rw", false),
    ("short", "w", true),
    ("delay", "owstnm", false),
];

/// Events of one run, without repetitions.
const EVENTS: usize = 6;

/// Cuts within which the canary must lose an event.
const CANARY_CUTS: u64 = 5;

/// How a run ends if the fault does not end the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Drain,
    Kill,
    /// A power cut, after which only synced data is left.
    PowerCut,
}

const ENDINGS: [Ending; 3] = [Ending::Drain, Ending::Kill, Ending::PowerCut];

/// A fault, the ending of its run, and the padding of the events in bytes.
type Case = (Fault, Ending, usize);

/// Result of one run.
#[derive(Debug, Default)]
struct RunResult {
    findings: Findings,
    calls: String,
    injected: bool,
    /// The process exited with 70.
    exited_with_70: bool,
    kind: &'static str,
}

pub(crate) fn run(options: &RunOptions) -> Result<String, String> {
    if let Some(missing) = Shim::missing_requirement() {
        return Ok(format!("SKIP: {missing}"));
    }
    let shim = Shim::build()?;
    let canary = check_canary(&shim, options.seed)?;
    let mut rng = fastrand::Rng::with_seed(options.seed);
    let (mut cases, mut calls) = (Vec::new(), Vec::new());
    for padding in [0, LARGE_EVENT_PADDING] {
        let without_fault = run_case(&shim, &Fault::NONE, Ending::Drain, padding)?;
        if without_fault.exited_with_70 || without_fault.findings.acknowledged < EVENTS {
            return Err("without a fault not every event was acknowledged".to_owned());
        }
        cases.extend(all_cases(&without_fault.calls, padding, &mut rng));
        calls.push(without_fault.calls.len());
    }
    let all = cases.len();
    rng.shuffle(&mut cases);
    // The short form samples each kind, and has all failing syncs with small events.
    let per_kind = if options.short { 5 } else { usize::MAX };
    let mut taken = BTreeMap::new();
    cases.retain(|(fault, ending, padding)| {
        // A drain over a store that stays broken uses up its whole time limit of 20 s.
        if options.short && fault.persistent && *ending == Ending::Drain {
            return false;
        }
        let n = taken.entry((fault.kind, fault.persistent, padding > &0)).or_insert(0);
        *n += 1;
        let max = per_kind >> (2 * u8::from(*padding > 0));
        *n <= max || (fault.calls == SYNC_CALLS && *padding == 0)
    });
    let wants_another = |n: usize| options.short || options.wants_another(n);
    // Delayed runs mostly wait, and a dozen fit at the same time; large events keep a processor
    // busy.
    let (delayed, failing): (Vec<_>, Vec<_>) =
        cases.into_iter().partition(|(f, ..)| f.kind == "delay");
    let (large, small): (Vec<_>, Vec<_>) =
        failing.into_iter().partition(|(.., padding)| *padding > 0);
    let run = |(fault, ending, padding): &Case| {
        run_case(&shim, fault, *ending, *padding)
            .map_err(|e| format!("{fault}, then {ending:?}, events of {padding} bytes: {e}"))
    };
    let mut results = run_parallel(6, &small, wants_another, run)?;
    results.extend(run_parallel(2, &large, wants_another, run)?);
    results.extend(run_parallel(12, &delayed, wants_another, run)?);
    Ok(summary(&results, all, &calls, &canary))
}

fn summary(results: &[RunResult], all: usize, calls: &[usize], canary: &str) -> String {
    let mut findings = Findings::default();
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for result in results {
        findings.add(result.findings);
        *kinds.entry(result.kind).or_insert(0) += usize::from(result.injected);
    }
    let injected: usize = kinds.values().sum();
    let exits = results.iter().filter(|result| result.exited_with_70).count();
    let kinds: Vec<_> = kinds.iter().map(|(kind, n)| format!("{n} {kind}")).collect();
    format!(
        "{} of {all} runs over {calls:?} calls with small and large events; {injected} faults injected ({}), {exits} exits with 70; {} acknowledged, {} stored, 0 lost; canary: {canary}",
        results.len(),
        kinds.join(", "),
        findings.acknowledged,
        findings.stored
    )
}

/// Returns every call with every kind of fault that it can have; the endings alternate.
fn all_cases(calls: &str, padding: usize, rng: &mut fastrand::Rng) -> Vec<Case> {
    let mut cases = Vec::new();
    for (kind, counted, persistent) in KINDS {
        let count = calls.chars().filter(|call| counted.contains(*call)).count() as u64;
        for at in sample_calls(count, rng) {
            let fault = Fault { kind, calls: counted, at, persistent, ..Fault::NONE };
            // Only a power cut shows what a failed sync did not bring to the disk.
            let ending = match counted {
                SYNC_CALLS => Ending::PowerCut,
                _ => ENDINGS[cases.len() % ENDINGS.len()],
            };
            cases.push((fault, ending, padding));
        }
    }
    cases
}

/// Starts a server without a store, sends events, lets it work, ends it, and checks what it left.
fn run_case(
    shim: &Shim,
    fault: &Fault,
    ending: Ending,
    padding: usize,
) -> Result<RunResult, String> {
    let fixture = Fixture { padding, ..Fixture::new(STORE, FILE_STEP) };
    let mut result = run_with_fault(&fixture, shim, fault, ending)?;
    result.findings = fixture.recover_and_check()?;
    Ok(result)
}

/// Runs the process that has the fault.
fn run_with_fault(
    fixture: &Fixture,
    shim: &Shim,
    fault: &Fault,
    ending: Ending,
) -> Result<RunResult, String> {
    let (mut process, trace) = fixture.start(shim, fault, Duration::from_secs(20));
    let Some((addr, _)) = process.ready.clone() else {
        let (ended, log) = process.end(Duration::from_secs(5));
        return check_failed_start(ended, &log).map(|()| RunResult {
            injected: trace.injected() > 0,
            exited_with_70: true,
            kind: fault.kind,
            ..RunResult::default()
        });
    };
    // A store that stays broken answers no retry better than the first request.
    let retry_for = Duration::from_millis(if fault.persistent { 500 } else { 7000 });
    let unacknowledged = send(fixture, &addr, retry_for)?;
    process.settle(Duration::from_secs(if fault.persistent { 2 } else { 8 }));
    // Only a new process recovers a failed store, so this one must end soon.
    let failed = StoreError::Failed(String::new()).to_string();
    let ended_by_itself = if process.log().contains(failed.trim_end_matches([':', ' '])) {
        if !process.ends_within(Duration::from_secs(5)) {
            return Err(format!(
                "the process still runs 5 s after its store failed: {}",
                process.log()
            ));
        }
        true
    } else {
        !process.is_alive()
    };
    match ending {
        Ending::Drain => process.signal("-TERM"),
        Ending::Kill => process.kill(),
        Ending::PowerCut => trace.cut().map_err(|e| e.to_string())?,
    }
    let (ended, log) = process.end(Duration::from_secs(40));
    if log.contains("panicked") {
        return Err(format!("a panic: {log}"));
    }
    let exited_with_70 = ended == Ended::Code(70);
    check_exit(fault, ending, ended, ended_by_itself, &log)?;
    if !exited_with_70 && !fault.persistent && !unacknowledged.is_empty() {
        return Err(format!(
            "the process continued and never acknowledged {unacknowledged:?}: {log}"
        ));
    }
    Ok(RunResult {
        calls: trace.calls(),
        injected: trace.injected() > 0,
        exited_with_70,
        kind: fault.kind,
        findings: Findings::default(),
    })
}

/// Checks that the process ended as the run demanded, or with 70 and a reason in the log.
fn check_exit(
    fault: &Fault,
    ending: Ending,
    ended: Ended,
    ended_by_itself: bool,
    log: &str,
) -> Result<(), String> {
    match ended {
        Ended::Code(70) if !log.contains("the store failed") => {
            return Err(format!("exit code 70 without `the store failed` in the log: {log}"));
        }
        Ended::Code(0 | 70) => {}
        Ended::Killed if ending != Ending::Drain => {}
        _ => return Err(format!("the process ended with {ended:?}: {log}")),
    }
    let exited_with_70 = ended == Ended::Code(70);
    if exited_with_70 && fault.kind == QUOTA {
        return Err(format!("an exceeded quota ended the process: {log}"));
    }
    if ended_by_itself && !exited_with_70 {
        return Err(format!("the process ended by itself with {ended:?}, not with 70: {log}"));
    }
    Ok(())
}

/// Checks that a process that did not start exited with 70 and named the store's file.
fn check_failed_start(ended: Ended, log: &str) -> Result<(), String> {
    match ended {
        Ended::Code(70) if log.contains("events.db") && !log.contains("panicked") => Ok(()),
        _ => Err(format!(
            "the process never became ready and ended with {ended:?}, expected 70 and the file's name: {log}"
        )),
    }
}

/// Sends all events with two senders, some of them twice; returns those that were never
/// acknowledged.
fn send(fixture: &Fixture, addr: &str, retry_for: Duration) -> Result<Vec<String>, String> {
    let sender = |sender: usize| {
        let mut unacknowledged = Vec::new();
        for n in 0..EVENTS / 2 {
            let id = format!("evt_{sender}_{n}");
            for _ in 0..=usize::from(n == 0) {
                if !fixture.send(addr, &id, retry_for)? {
                    unacknowledged.push(id.clone());
                }
            }
        }
        Ok::<_, String>(unacknowledged)
    };
    std::thread::scope(|scope| {
        let other = scope.spawn(|| sender(1));
        let mut unacknowledged = sender(0)?;
        unacknowledged.extend(other.join().map_err(|_| "a sender panicked")??);
        Ok(unacknowledged)
    })
}

/// Checks that the oracle finds syncs that do nothing, followed by a power cut.
fn check_canary(shim: &Shim, seed: u64) -> Result<String, String> {
    for n in 0..CANARY_CUTS {
        let fault = Fault { fake_syncs: true, seed: (seed.wrapping_add(n)) | 1, ..Fault::NONE };
        match run_case(shim, &fault, Ending::PowerCut, 0) {
            Ok(_) => {}
            // Events are lost, or the file is so damaged that it cannot be read.
            Err(found) if ["lost", "damaged"].iter().any(|word| found.contains(word)) => {
                return Ok(found.chars().take(40).collect());
            }
            Err(other) => {
                return Err(format!("the canary was found by another failure: {other}"));
            }
        }
    }
    Err(format!(
        "the canary, syncs that do nothing and a power cut, lost nothing in {CANARY_CUTS} cuts"
    ))
}
