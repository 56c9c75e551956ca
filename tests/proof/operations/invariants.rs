//! The oracle of the suite `operations`: what must hold once a second process has opened the store
//! and finished all work.

use std::collections::{BTreeMap, BTreeSet};

use hookward_core::store::{AttemptOutcome, EventDetail, EventStatus, JobId};
use serde_json::Value;

use super::run::World;
use crate::sim::invariants::{ClaimCounts, check_leases};
use crate::sim::store::lock;

/// Returns all violations. `stored` is in the order of acceptance.
pub(super) fn check(world: &World, store_failed: bool, stored: &[EventDetail]) -> Vec<String> {
    let script = lock(&world.script);
    let ledger = lock(&world.handler.0);
    let mut violations = lock(&world.violations).clone();
    violations.extend(ledger.violations.clone());
    violations.extend(check_leases(&script.journal));
    violations.extend(check_stored(world, stored));
    violations.extend(check_interruptions(&script.injected, store_failed, stored));
    let runs: Vec<_> = ledger.runs.iter().map(|run| run.job).collect();
    violations.extend(check_order(stored, &runs));
    let counts = ClaimCounts::from_journal(&script.journal);
    for event in stored {
        for job in &event.jobs {
            let id = JobId { event: event.event.id(), n: job.n };
            violations.extend(counts.violation(id, job, job.n > 0, &ledger.runs));
        }
    }
    violations
}

/// Checks that every acknowledged event is stored once with the bytes that were sent and is closed,
/// that nothing else is stored, and that all requests of one delivery got the same answer.
fn check_stored(world: &World, stored: &[EventDetail]) -> Vec<String> {
    let mut violations = Vec::new();
    let mut found = BTreeMap::new();
    for event in stored {
        let name = event.summary.event_id.clone().unwrap_or_default();
        if found.insert(name.clone(), event).is_some() {
            violations.push(format!("INV-4: {name} is stored twice"));
        }
    }
    let (acks, mut answers) = (lock(&world.acks), BTreeMap::new());
    for (n, answer) in acks.iter() {
        if answers.entry(*n).or_insert(answer) != &answer {
            violations.push(format!("INV-4: delivery {n} got two different answers"));
        }
    }
    for (n, delivery) in world.deliveries.iter().enumerate() {
        for (name, bytes) in &delivery.events {
            let Some(event) = found.remove(name) else {
                let lost = format!("INV-1: {name} is acknowledged and not stored");
                violations.extend(answers.get(&n).map(|_| lost));
                continue;
            };
            if event.event.body().bytes() != bytes.as_bytes() {
                violations.push(format!("INV-9: {name} is stored with other bytes"));
            }
            let status = event.summary.status;
            let expected = match name.as_str() {
                "evt_unwanted" => [EventStatus::Unrouted; 2],
                // Dead until the operator replays it.
                "evt_fatal" => [EventStatus::Done, EventStatus::Dead],
                _ => [EventStatus::Done; 2],
            };
            if !expected.contains(&status) {
                violations.push(format!(
                    "INV-2: {name} is {status:?}, expected {expected:?}: {:?}",
                    event.jobs
                ));
            }
        }
    }
    violations.extend(
        found.keys().map(|name| {
            format!("{name} is stored, and its retention is over or it was never sent")
        }),
    );
    violations
}

/// Checks that leases expired only after a failed claim or extension, and that jobs count as
/// crashed only after a failed store. Otherwise the worker dropped an outcome, and its step ran
/// again for nothing.
fn check_interruptions(
    injected: &BTreeSet<&'static str>,
    store_failed: bool,
    stored: &[EventDetail],
) -> Vec<String> {
    let allowed = |outcome| match outcome {
        AttemptOutcome::Lease => {
            store_failed || injected.contains("claim") || injected.contains("extend")
        }
        AttemptOutcome::Crash => store_failed,
        _ => true,
    };
    let runs = stored.iter().flat_map(|event| &event.jobs).flat_map(|job| &job.attempts);
    let wrong = runs.filter(|run| !allowed(run.outcome));
    wrong.map(|run| format!("INV-3: an outcome was dropped: {run:?}")).collect()
}

/// Checks that the events of a customer ran for the first time in the order of acceptance.
fn check_order(stored: &[EventDetail], runs: &[JobId]) -> Vec<String> {
    let mut by_customer: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for event in stored {
        let body: Value = serde_json::from_slice(event.event.body().bytes()).unwrap_or_default();
        let Some(customer) = body["data"]["object"]["customer"].as_str() else { continue };
        let first = runs.iter().position(|job| job.event == event.event.id());
        by_customer.entry(customer.to_owned()).or_default().extend(first);
    }
    let is_sorted =
        |firsts: &[usize]| firsts.iter().collect::<BTreeSet<_>>().into_iter().eq(firsts);
    let wrong = by_customer.iter().filter(|(_, firsts)| !is_sorted(firsts));
    wrong
        .map(|(customer, firsts)| {
            format!("INV-6: events of {customer} first ran at the positions {firsts:?}")
        })
        .collect()
}
