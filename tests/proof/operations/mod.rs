//! Every call of every operation of a store, spoilt in every way, one run each: it fails before it takes
//! effect or after, the store is full, lost or closed, it is slow, it panics; once, or from then on. The
//! engine is the real one, in this process, and so is the store that is spoilt. Whatever happens, an
//! answer comes in time and is true, no panic comes out, no loop ends, and a new process finds all.
//!
//! ```text
//! cargo test -p hookward-cli --test proof -- operations --runs 100000     # every call, every way
//! ```

mod faulty_store;
mod handler;
mod invariants;
mod run;
mod senders;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use faulty_store::{Kind, Point, Reach};
use run::{Played, ground, play};

use crate::Extent;
use crate::fault::trial::{folder, spread};
use crate::sim::quiet;

/// All that a store can be asked, but for what it says of itself: every one of them is in the workload.
const OPERATIONS: [&str; 13] = [
    "accept", "check", "claim", "close", "depth", "extend", "find", "list", "next_due", "purge",
    "replay", "settle", "show",
];

pub(crate) fn run(extent: &Extent) -> Result<String, String> {
    quiet();
    let place = folder();
    ground(place.path())?;
    let plain = play(place.path(), None, false)?;
    if !plain.broken.is_empty() || plain.lost {
        return Err(format!("without a fault: {}", plain.broken.join("\n")));
    }
    let asked: BTreeSet<_> = plain.calls.iter().copied().collect();
    if !asked.iter().eq(&OPERATIONS) {
        return Err(format!("the workload asks for {asked:?} alone"));
    }
    let canaries = canaries(place.path())?;
    let mut points = points(&plain.calls);
    let all = points.len();
    fastrand::Rng::with_seed(extent.seed).shuffle(&mut points);
    if extent.short {
        // Each kind in each operation, once or from then on.
        let mut seen = BTreeSet::new();
        points.retain(|p| seen.insert((p.operation, p.kind)));
    }
    let goes_on = |n: usize| extent.short || extent.goes_on(n);
    let played = spread(4, &points, goes_on, |point| {
        let played = play(place.path(), Some(*point), false).and_then(|played| {
            let broken = played.broken.join("\n");
            if broken.is_empty() { Ok(played) } else { Err(broken) }
        });
        let Point { kind, reach, operation, nth } = point;
        let way = format!("{kind:?} in call {nth} of `{operation}`, {reach:?}");
        played.map(|played| (point.kind, played)).map_err(|broken| format!("{way}: {broken}"))
    })?;
    Ok(told(&played, all, plain.calls.len(), &canaries))
}

fn told(played: &[(Kind, Played)], all: usize, calls: usize, canaries: &str) -> String {
    let mut kinds: BTreeMap<Kind, usize> = BTreeMap::new();
    for (kind, run) in played {
        *kinds.entry(*kind).or_default() += usize::from(run.struck);
    }
    let struck: usize = kinds.values().sum();
    let kinds: Vec<_> = kinds.iter().map(|(kind, n)| format!("{n} {kind:?}")).collect();
    let sum = |count: fn(&Played) -> usize| played.iter().map(|(_, run)| count(run)).sum::<usize>();
    format!(
        "{} of {all} runs over {calls} calls of {} operations; {struck} faults took place ({}), {} ended with a lost store; {} acknowledged, {} stored, 0 lost; canaries: {canaries}",
        played.len(),
        OPERATIONS.len(),
        kinds.join(", "),
        sum(|run| usize::from(run.lost)),
        sum(|run| run.acknowledged),
        sum(|run| run.stored),
    )
}

/// Every call in every way that makes sense for it.
fn points(calls: &[&'static str]) -> Vec<Point> {
    let mut points = Vec::new();
    for (at, operation) in calls.iter().enumerate() {
        let nth = calls[..at].iter().filter(|before| before == &operation).count();
        for kind in Kind::ALL {
            for reach in [Reach::Once, Reach::Same, Reach::All] {
                let once_for_all = kind.is_the_end() && reach != Reach::Once;
                // To close says nothing, so it cannot fail, and it is the last one.
                let panics = matches!(kind, Kind::PanicBefore | Kind::PanicAfter | Kind::Delay);
                let closing = *operation == "close" && !(panics && reach == Reach::Once);
                if !once_for_all && !closing {
                    points.push(Point { kind, reach, operation, nth });
                }
            }
        }
    }
    points
}

/// Each must be found out, by this word.
fn canaries(ground: &Path) -> Result<String, String> {
    let way = |kind, operation| Point { kind, reach: Reach::Same, operation, nth: 0 };
    let canaries = [
        ("a store that says it took in what it did not", way(Kind::Lie, "accept"), false, "INV-1"),
        ("a worker that claims no more", way(Kind::Hang, "claim"), false, "INV-2"),
        ("an operator past the guard", way(Kind::PanicBefore, "list"), true, "a panic reached"),
    ];
    let mut found = Vec::new();
    for (what, point, past_guard, word) in canaries {
        let broken = match play(ground, Some(point), past_guard) {
            Ok(played) => played.broken.join("\n"),
            Err(broken) => broken,
        };
        if !broken.contains(word) {
            return Err(format!("the canary, {what}, is not found: {broken:?}"));
        }
        found.push(format!("{what} by {word}"));
    }
    Ok(found.join(", "))
}
