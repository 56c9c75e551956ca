//! The oracle of the simulation: what must hold after every run. A violation begins with the number
//! that the invariant has in `docs/architecture.md`.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use hookward_core::EventId;
use hookward_core::store::{
    AttemptOutcome, Cause, DedupeKey, EventStatus, JobDetail, JobId, JobState,
};

use super::handler::StepRun;
use super::journal::{JournalEntry, RELEASED_UNSTARTED, UNROUTED};
use super::senders::Delivery;
use super::store::{detail, lock};
use super::world::World;

/// Returns all violations of a run, those that were observed on the way included.
pub(crate) fn check(world: &World, deliveries: &[Delivery]) -> Vec<String> {
    let mut violations = lock(&world.violations).clone();
    let journal = lock(&world.disk).journal.clone();
    violations.extend(check_leases(&journal));
    violations.extend(check_dedupe(&journal));
    violations.extend(check_answers(world, deliveries, &journal));
    violations.extend(check_outcomes(world, deliveries, &journal));
    violations
}

/// INV-6 and INV-8: jobs of an order key are claimed in order, and only the current lease of a job
/// has an effect.
pub(crate) fn check_leases(journal: &[JournalEntry]) -> Vec<String> {
    let mut current = HashMap::new();
    let mut violations = Vec::new();
    for entry in journal {
        match entry {
            JournalEntry::Claimed { lease, overtaken, early } => {
                if *early {
                    violations.push(format!("{} is claimed before it is due", lease.job));
                }
                if let Some(overtaken) = overtaken {
                    violations.push(format!(
                        "INV-6: {} is claimed while {overtaken}, accepted earlier, is open",
                        lease.job
                    ));
                }
                current.insert(lease.job, lease.token);
            }
            JournalEntry::Settled { lease, settlement } => {
                let last = current.remove(&lease.job);
                let what = format!("INV-8: a stale lease settled {} as {settlement}", lease.job);
                violations.extend((last != Some(lease.token)).then_some(what));
            }
            JournalEntry::Extended(lease) => {
                let last = current.get(&lease.job).copied();
                let what = format!("INV-8: a stale lease of {} was extended", lease.job);
                violations.extend((last != Some(lease.token)).then_some(what));
            }
            JournalEntry::Reopened => current.clear(),
            _ => {}
        }
    }
    violations
}

/// INV-2 and INV-4: a dedupe key has one event within its window, and no event is removed before
/// its retention is over by the clock of that time.
fn check_dedupe(journal: &[JournalEntry]) -> Vec<String> {
    let mut owners: HashMap<DedupeKey, (EventId, hookward_core::Timestamp)> = HashMap::new();
    let mut violations = Vec::new();
    for entry in journal {
        match entry {
            JournalEntry::Accepted { event, at, since, keys, .. } => {
                for key in keys {
                    if let Some((other, accepted_at)) = owners.insert(*key, (*event, *at))
                        && accepted_at >= *since
                    {
                        violations
                            .push(format!("INV-4: {event} repeats {other} and is stored again"));
                    }
                }
            }
            JournalEntry::Removed { event, received_at, before } => {
                owners.retain(|_, (owner, _)| owner != event);
                if received_at >= before {
                    violations
                        .push(format!("INV-2: {event} was removed before its retention was over"));
                }
            }
            _ => {}
        }
    }
    violations
}

/// INV-1, INV-4, INV-5: every sender that did not give up got a 2xx, each 2xx has the bytes of the
/// stored answer, and every stored event was sent.
fn check_answers(world: &World, deliveries: &[Delivery], journal: &[JournalEntry]) -> Vec<String> {
    let mut answers: HashMap<&[u8], Vec<&hookward_core::Reply>> = HashMap::new();
    for entry in journal {
        if let JournalEntry::Accepted { body, answer, .. } = entry {
            answers.entry(body).or_default().push(answer);
        }
    }
    let mut violations = Vec::new();
    let mut acknowledged = BTreeSet::new();
    for ack in lock(&world.acks).iter() {
        acknowledged.insert(ack.delivery);
        let stored = answers.get(&deliveries[ack.delivery].body[..]);
        if !stored.is_some_and(|stored| stored.iter().any(|answer| **answer == ack.reply)) {
            let n = ack.delivery;
            violations
                .push(format!("INV-4: delivery {n} got {:?}, stored is {stored:?}", ack.reply));
        }
    }
    for (n, delivery) in deliveries.iter().enumerate() {
        let persists = delivery.gives_up_after.is_none() && !delivery.forged;
        if persists && !acknowledged.contains(&n) {
            violations.push(format!("INV-1: delivery {n} was never acknowledged"));
        }
    }
    let sent: BTreeSet<&[u8]> =
        deliveries.iter().filter(|d| !d.forged).map(|d| &d.body[..]).collect();
    for body in answers.keys().filter(|body| !sent.contains(*body)) {
        violations.push(format!(
            "INV-5 or INV-9: stored and never sent: {}",
            String::from_utf8_lossy(body)
        ));
    }
    violations
}

/// Claims of each job, those of them that ran no step, and the jobs that an operator replayed.
pub(crate) struct ClaimCounts {
    claims: BTreeMap<JobId, usize>,
    without_run: BTreeMap<JobId, usize>,
    replayed: BTreeSet<JobId>,
}

impl ClaimCounts {
    pub(crate) fn from_journal(journal: &[JournalEntry]) -> Self {
        let (mut claims, mut without_run) = (BTreeMap::new(), BTreeMap::new());
        for entry in journal {
            match entry {
                JournalEntry::Claimed { lease, .. } => *claims.entry(lease.job).or_default() += 1,
                JournalEntry::Settled { lease, settlement: UNROUTED | RELEASED_UNSTARTED } => {
                    *without_run.entry(lease.job).or_default() += 1;
                }
                _ => {}
            }
        }
        Self { claims, without_run, replayed: journal.iter().filter_map(replayed_job).collect() }
    }

    /// INV-3 for one job: each claim and each run has a record with its cause. `added` jobs were
    /// created by an operator after the event was accepted.
    pub(crate) fn violation(
        &self,
        id: JobId,
        job: &JobDetail,
        added: bool,
        runs: &[StepRun],
    ) -> Option<String> {
        let claims = self.claims.get(&id).copied().unwrap_or(0);
        let without_run = self.without_run.get(&id).copied().unwrap_or(0);
        let expected = claims - without_run.min(claims);
        check_causes(job, expected, added, self.replayed.contains(&id))
            .or_else(|| check_runs(runs, id, job))
            .map(|problem| format!("INV-3: {id} {problem}: {job:?}"))
    }
}

/// INV-2, INV-3 and INV-9: every accepted event that was not removed is stored with its bytes and
/// closed, and every run has a recorded cause.
fn check_outcomes(world: &World, deliveries: &[Delivery], journal: &[JournalEntry]) -> Vec<String> {
    let removed: BTreeSet<EventId> = journal.iter().filter_map(removed_event).collect();
    let counts = ClaimCounts::from_journal(journal);
    let ledger = lock(&world.ledger);
    let disk = lock(&world.disk);
    let mut violations = Vec::new();
    for entry in journal {
        let JournalEntry::Accepted { event, body, jobs, .. } = entry else { continue };
        if removed.contains(event) {
            continue;
        }
        let Some(row) = disk.positions.get(event).and_then(|position| disk.rows.get(position))
        else {
            violations.push(format!("INV-2: {event} was accepted, not removed, and is not stored"));
            continue;
        };
        let stored = detail(row);
        if stored.summary.status == EventStatus::Pending {
            violations.push(format!("INV-2: {event} has open jobs"));
        }
        if stored.event.body().bytes() != body {
            violations.push(format!("INV-9: {event} has other bytes"));
        }
        let delivery = deliveries.iter().find(|delivery| delivery.body == *body);
        let routes =
            stored.jobs.iter().take(*jobs as usize).map(|job| &*job.route).collect::<Vec<_>>();
        if delivery.is_some_and(|delivery| !routed_by_one_config(delivery, &routes)) {
            violations
                .push(format!("{event} was routed by a mix of two configurations: {routes:?}"));
        }
        for job in &stored.jobs {
            let id = JobId { event: *event, n: job.n };
            violations.extend(counts.violation(id, job, job.n >= *jobs, &ledger.runs));
        }
    }
    violations
}

fn removed_event(entry: &JournalEntry) -> Option<EventId> {
    if let JournalEntry::Removed { event, .. } = entry { Some(*event) } else { None }
}

fn replayed_job(entry: &JournalEntry) -> Option<JobId> {
    if let JournalEntry::Replayed(job) = entry { Some(*job) } else { None }
}

/// Returns whether one of the two configurations alone makes these routes. A mix shows a reload in
/// the middle of a request.
fn routed_by_one_config(delivery: &Delivery, routes: &[&str]) -> bool {
    let allowed: &[&[&str]] = match delivery.event_type {
        "charge.succeeded" => &[&["orders", "mail"], &["orders", "audit"]],
        "invoice.paid" => &[&["orders"]],
        "push" => &[&["mail"], &["audit"]],
        _ => &[&[]],
    };
    let unique: BTreeSet<_> = routes.iter().collect();
    let same = |set: &&[&str]| set.iter().collect::<BTreeSet<_>>() == unique;
    unique.len() == routes.len() && allowed.iter().any(same)
}

/// Checks that each claim has a record, and that each further record has the cause that the record
/// before it implies.
fn check_causes(job: &JobDetail, claims: usize, added: bool, replayed: bool) -> Option<String> {
    if job.attempts.len() != claims {
        return Some(format!("was claimed {claims} times and has {} records", job.attempts.len()));
    }
    let first = job.attempts.first().and_then(|record| record.cause);
    if claims > 0 && (first.is_some() || added) && !(first == Some(Cause::Replay) && replayed) {
        return Some(format!("has the cause {first:?} for its first attempt"));
    }
    for pair in job.attempts.windows(2) {
        let cause = pair[1].cause;
        let fits = match pair[0].outcome {
            AttemptOutcome::Released => cause == pair[0].cause,
            outcome => outcome.next_cause().is_some() && cause == outcome.next_cause(),
        };
        let revived =
            replayed && cause == Some(Cause::Replay) && pair[0].outcome != AttemptOutcome::Done;
        if !fits && !revived {
            return Some(format!("ran again after {:?} with the cause {cause:?}", pair[0].outcome));
        }
    }
    None
}

/// Checks that a job that is done ran its last step or was stopped, and that no step ran more often
/// than the job was claimed.
fn check_runs(runs: &[StepRun], id: JobId, job: &JobDetail) -> Option<String> {
    let mut by_step: BTreeMap<&str, usize> = BTreeMap::new();
    let mut finished = false;
    for run in runs.iter().filter(|run| run.job == id) {
        *by_step.entry(&*run.step).or_default() += 1;
        let last = matches!(&*run.step, "second" | "third" | "only") && run.end == "ok";
        finished |= last || run.end == "stopped";
    }
    let max_runs = by_step.values().copied().max().unwrap_or(0);
    if max_runs > job.attempts.len() {
        return Some(format!("ran a step {max_runs} times in {} attempts", job.attempts.len()));
    }
    (job.state == JobState::Done && !finished)
        .then(|| "is done and did not run its last step".to_owned())
}
