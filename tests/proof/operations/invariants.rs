//! What must hold once the store was opened anew and nothing waits any more.

use std::collections::{BTreeMap, BTreeSet};

use hookward_core::store::{EventDetail, JobId, Status};
use serde_json::Value;

use super::run::World;
use crate::sim::invariants::{Handed, leased};
use crate::sim::store::lock;

/// Everything that is wrong; `stored` in the order of acceptance.
pub(super) fn judge(world: &World, lost: bool, stored: &[EventDetail]) -> Vec<String> {
    let script = lock(&world.script);
    let ledger = lock(&world.hand.0);
    let mut broken = lock(&world.broken).clone();
    broken.extend(ledger.broken.clone());
    broken.extend(leased(&script.journal));
    broken.extend(kept(world, stored));
    broken.extend(without_need(&script.struck, lost, stored));
    broken.extend(in_order(stored, &ledger.runs.iter().map(|run| run.job).collect::<Vec<_>>()));
    let handed = Handed::of(&script.journal);
    for event in stored {
        for job in &event.jobs {
            let id = JobId { event: event.event.id(), n: job.n };
            broken.extend(handed.wrong(id, job, job.n > 0, &ledger.runs));
        }
    }
    broken
}

/// All that was acknowledged is there, each event once, with the bytes that were sent; nothing else is;
/// each has ended; and one letter has one answer.
fn kept(world: &World, stored: &[EventDetail]) -> Vec<String> {
    let mut broken = Vec::new();
    let mut found = BTreeMap::new();
    for event in stored {
        let name = event.summary.event_id.clone().unwrap_or_default();
        if found.insert(name.clone(), event).is_some() {
            broken.push(format!("INV-4: {name} is stored twice"));
        }
    }
    let (acks, mut answers) = (lock(&world.acks), BTreeMap::new());
    for (n, answer) in acks.iter() {
        if answers.entry(*n).or_insert(answer) != &answer {
            broken.push(format!("INV-4: letter {n} has two answers"));
        }
    }
    for (n, letter) in world.letters.iter().enumerate() {
        for (name, bytes) in &letter.events {
            let Some(event) = found.remove(name) else {
                broken.extend(answers.get(&n).map(|_| format!("INV-1: {name} is lost")));
                continue;
            };
            if event.event.body().bytes() != bytes.as_bytes() {
                broken.push(format!("INV-9: {name} has other bytes"));
            }
            let status = event.summary.status;
            let ends = match name.as_str() {
                "evt_unwanted" => [Status::Unrouted; 2],
                // It is dead until an operator asks for it again.
                "evt_refuse" => [Status::Done, Status::Dead],
                _ => [Status::Done; 2],
            };
            if !ends.contains(&status) {
                broken.push(format!("INV-2: {name} is {status:?}: {:?}", event.jobs));
            }
        }
    }
    broken.extend(found.keys().map(|name| format!("{name} is past its time, or nobody sent it")));
    broken
}

/// A lease ends only where a claim or an extension went wrong, and a job is found running only behind a
/// store that was lost. Else an outcome was thrown away, and what it stood for ran once more.
fn without_need(
    struck: &BTreeSet<&'static str>,
    lost: bool,
    stored: &[EventDetail],
) -> Vec<String> {
    let may = |outcome: &str| match outcome {
        "lease" => lost || struck.contains("claim") || struck.contains("extend"),
        "crash" => lost,
        _ => true,
    };
    let runs = stored.iter().flat_map(|event| &event.jobs).flat_map(|job| &job.attempts);
    let wrong = runs.filter(|run| !may(&run.outcome));
    wrong.map(|run| format!("INV-3: a run ended without need: {run:?}")).collect()
}

/// The events of a customer ran for the first time in the order in which they were accepted.
fn in_order(stored: &[EventDetail], runs: &[JobId]) -> Vec<String> {
    let mut by_customer: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for event in stored {
        let body: Value = serde_json::from_slice(event.event.body().bytes()).unwrap_or_default();
        let Some(customer) = body["data"]["object"]["customer"].as_str() else { continue };
        let first = runs.iter().position(|job| job.event == event.event.id());
        by_customer.entry(customer.to_owned()).or_default().extend(first);
    }
    let sorted = |firsts: &[usize]| firsts.iter().collect::<BTreeSet<_>>().into_iter().eq(firsts);
    let wrong = by_customer.iter().filter(|(_, firsts)| !sorted(firsts));
    wrong.map(|(customer, firsts)| format!("INV-6: {customer} ran as {firsts:?}")).collect()
}
