//! Every storage call of a small workload, spoilt in every way, one at a time: the disk fails, is
//! full, takes half, or hangs, once or from then on. Whatever happens, an answer comes in time, what
//! was acknowledged is there afterwards, and the process goes on or says why it ends.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::RunOptions;
use crate::fault::process::Ended;
use crate::fault::trial::{FILE_STEP, Fixture, Found, run_parallel};
use crate::fault::{ALL, Fault, Shim};
use crate::recovery::{LARGE, STORE, spread_over};

/// Each of them, in the short form, too: an answer 200 rests on nothing else.
const SYNCS: &str = "s";

/// Nothing is lost by a write that a quota refused, so the store goes on.
const QUOTA: &str = "edquot";

/// The kinds of fault, the calls at which they can take place, and whether they can stay.
const KINDS: [(&str, &str, bool); 10] = [
    ("eio", SYNCS, false),
    ("eio", ALL, false),
    ("eio", ALL, true),
    ("enospc", "owstnm", false),
    ("enospc", "owstnm", true),
    (QUOTA, "w", false),
    (QUOTA, "w", true),
    ("short", "rw", false),
    ("short", "w", true),
    ("delay", "owstnm", false),
];

/// What the log says of a store that can no longer be trusted.
const LOST: &str = "the store failed and takes nothing in any more";

/// How a run ends, if the fault did not end it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Drain,
    Kill,
    /// A power cut: what was not synced is gone.
    Cut,
}

const ENDINGS: [Ending; 3] = [Ending::Drain, Ending::Kill, Ending::Cut];

/// What goes wrong, how it ends, and how much longer events are than they have to be.
type Point = (Fault, Ending, usize);

/// What came of one run.
#[derive(Debug, Default)]
struct Seen {
    found: Found,
    calls: String,
    fired: bool,
    /// The process ended by itself, with 70.
    gave_up: bool,
    kind: &'static str,
}

pub(crate) fn run(options: &RunOptions) -> Result<String, String> {
    if let Some(missing) = Shim::missing() {
        return Ok(format!("SKIP: {missing}"));
    }
    let shim = Shim::build()?;
    let canary = canary(&shim, options.seed)?;
    let mut chance = fastrand::Rng::with_seed(options.seed);
    let (mut all, mut calls) = (Vec::new(), Vec::new());
    for padding in [0, LARGE] {
        let plain = one(&shim, &Fault::NONE, Ending::Drain, padding)?;
        if plain.gave_up || plain.found.acknowledged < EVENTS {
            return Err("without a fault not everything was taken in".to_owned());
        }
        all.extend(points(&plain.calls, padding, &mut chance));
        calls.push(plain.calls.len());
    }
    let mut points = all;
    let all = points.len();
    chance.shuffle(&mut points);
    // The short form takes some of each kind.
    let per_kind = if options.short { 5 } else { usize::MAX };
    let mut taken = BTreeMap::new();
    points.retain(|(fault, ending, padding)| {
        // To drain with a store that stays broken takes all of its time, 20 s.
        if options.short && fault.ever && *ending == Ending::Drain {
            return false;
        }
        let n = taken.entry((fault.kind, fault.ever, padding > &0)).or_insert(0);
        *n += 1;
        *n <= per_kind >> (2 * u8::from(*padding > 0)) || (fault.calls == SYNCS && *padding == 0)
    });
    let wants_another = |n: usize| options.short || options.wants_another(n);
    // Those that hang wait most of their time; large events keep a processor busy.
    let (hang, fail): (Vec<_>, Vec<_>) = points.into_iter().partition(|(f, ..)| f.kind == "delay");
    let (large, small): (Vec<_>, Vec<_>) = fail.into_iter().partition(|(.., padding)| *padding > 0);
    let trial = |(fault, ending, padding): &Point| {
        one(&shim, fault, *ending, *padding)
            .map_err(|e| format!("{fault}, then {ending:?}, events of {padding} bytes: {e}"))
    };
    let mut seen = run_parallel(6, &small, wants_another, trial)?;
    seen.extend(run_parallel(2, &large, wants_another, trial)?);
    seen.extend(run_parallel(12, &hang, wants_another, trial)?);
    Ok(told(&seen, all, &calls, &canary))
}

fn told(seen: &[Seen], all: usize, calls: &[usize], canary: &str) -> String {
    let mut found = Found::default();
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for run in seen {
        found.add(run.found);
        *kinds.entry(run.kind).or_insert(0) += usize::from(run.fired);
    }
    let fired: usize = kinds.values().sum();
    let gave_up = seen.iter().filter(|run| run.gave_up).count();
    let kinds: Vec<_> = kinds.iter().map(|(kind, n)| format!("{n} {kind}")).collect();
    format!(
        "{} of {all} runs over {calls:?} calls with small and large events; {fired} faults took place ({}), {gave_up} ended with 70; {} acknowledged, {} stored, 0 lost; canary: {canary}",
        seen.len(),
        kinds.join(", "),
        found.acknowledged,
        found.stored
    )
}

/// Every call with every kind of fault that fits it; endings in turn.
fn points(calls: &str, padding: usize, chance: &mut fastrand::Rng) -> Vec<Point> {
    let mut points = Vec::new();
    for (kind, counted, ever) in KINDS {
        let k = calls.chars().filter(|call| counted.contains(*call)).count() as u64;
        for at in spread_over(k, chance) {
            let fault = Fault { kind, calls: counted, at, ever, ..Fault::NONE };
            // What a failed sync did not bring to the disk, only a power cut tells.
            let ending = match counted {
                SYNCS => Ending::Cut,
                _ => ENDINGS[points.len() % ENDINGS.len()],
            };
            points.push((fault, ending, padding));
        }
    }
    points
}

const EVENTS: usize = 6;

/// Starts on nothing, takes events in, works them, ends; then judges what is left.
fn one(shim: &Shim, fault: &Fault, ending: Ending, padding: usize) -> Result<Seen, String> {
    let fixture = Fixture { padding, ..Fixture::new(STORE, FILE_STEP) };
    let mut seen = spoil(&fixture, shim, fault, ending)?;
    seen.found = fixture.judge()?;
    Ok(seen)
}

/// The part in which things go wrong.
fn spoil(fixture: &Fixture, shim: &Shim, fault: &Fault, ending: Ending) -> Result<Seen, String> {
    let (mut process, trace) = fixture.start(shim, fault, Duration::from_secs(20));
    let Some((addr, _)) = process.ready.clone() else {
        let (ended, log) = process.end(Duration::from_secs(5));
        return started_not(ended, &log).map(|()| Seen {
            fired: trace.fired() > 0,
            gave_up: true,
            kind: fault.kind,
            ..Seen::default()
        });
    };
    // What stays broken is not waited for.
    let patience = Duration::from_millis(if fault.ever { 500 } else { 7000 });
    let refused = send(fixture, &addr, patience)?;
    process.settle(Duration::from_secs(if fault.ever { 2 } else { 8 }));
    // A store that is lost is to be opened anew, and soon.
    let by_itself = if process.log().contains(LOST) {
        if !process.ends_within(Duration::from_secs(5)) {
            return Err(format!("it holds a lost store for 5 s and more: {}", process.log()));
        }
        true
    } else {
        !process.is_alive()
    };
    match ending {
        Ending::Drain => process.signal("-TERM"),
        Ending::Kill => process.kill(),
        Ending::Cut => trace.cut().map_err(|e| e.to_string())?,
    }
    let (ended, log) = process.end(Duration::from_secs(40));
    if log.contains("panicked") {
        return Err(format!("a panic: {log}"));
    }
    let gave_up = ended == Ended::Code(70);
    match ended {
        Ended::Code(70) if !log.contains("the store failed") => {
            return Err(format!("70 without a word: {log}"));
        }
        Ended::Code(0 | 70) => {}
        Ended::Killed if ending != Ending::Drain => {}
        _ => return Err(format!("it ended with {ended:?}: {log}")),
    }
    if gave_up && fault.kind == QUOTA {
        return Err(format!("it gave up for a quota: {log}"));
    }
    if by_itself && !gave_up {
        return Err(format!("it ended by itself with {ended:?}: {log}"));
    }
    if !gave_up && !fault.ever && !refused.is_empty() {
        return Err(format!("it went on and refused {refused:?} to the end: {log}"));
    }
    let fired = trace.fired() > 0;
    Ok(Seen { calls: trace.calls(), fired, gave_up, kind: fault.kind, found: Found::default() })
}

/// It did not start: it must say why.
fn started_not(ended: Ended, log: &str) -> Result<(), String> {
    match ended {
        Ended::Code(70) if log.contains("events.db") && !log.contains("panicked") => Ok(()),
        _ => Err(format!("it was never ready and ended with {ended:?}: {log}")),
    }
}

/// Two senders, and one of them says something twice. Who was refused to the end.
fn send(fixture: &Fixture, addr: &str, patience: Duration) -> Result<Vec<String>, String> {
    let sender = |sender: usize| {
        let mut refused = Vec::new();
        for n in 0..EVENTS / 2 {
            let id = format!("evt_{sender}_{n}");
            for _ in 0..=usize::from(n == 0) {
                if !fixture.send(addr, &id, patience)? {
                    refused.push(id.clone());
                }
            }
        }
        Ok::<_, String>(refused)
    };
    std::thread::scope(|scope| {
        let other = scope.spawn(|| sender(1));
        let mut refused = sender(0)?;
        refused.extend(other.join().map_err(|_| "a sender panicked")??);
        Ok(refused)
    })
}

/// Syncs that do nothing, and a power cut: the oracle must see it.
fn canary(shim: &Shim, seed: u64) -> Result<String, String> {
    for n in 0..5 {
        let lie = Fault { lie: true, seed: (seed.wrapping_add(n)) | 1, ..Fault::NONE };
        match one(shim, &lie, Ending::Cut, 0) {
            Ok(_) => {}
            // Lost, or so mixed up that it cannot be read.
            Err(told) if ["lost", "damaged"].iter().any(|word| told.contains(word)) => {
                return Ok(told.chars().take(40).collect());
            }
            Err(told) => return Err(format!("the canary ended otherwise: {told}")),
        }
    }
    Err("the canary, syncs that do nothing and a power cut, lost nothing in 5 cuts".to_owned())
}
