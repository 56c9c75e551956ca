//! What must hold after every run, by the invariants' numbers.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use hookward_core::EventId;
use hookward_core::store::{DedupeKey, JobDetail, JobId, JobState, Status};

use super::disk::Durable;
use super::handler::Run;
use super::senders::Letter;
use super::store::{detail, lock};
use super::world::World;

/// Everything that is wrong.
pub(crate) fn judge(world: &World, letters: &[Letter]) -> Vec<String> {
    let mut broken = lock(&world.broken).clone();
    let journal = lock(&world.disk).journal.clone();
    broken.extend(leased(&journal));
    broken.extend(once(&journal));
    broken.extend(answered(world, letters, &journal));
    broken.extend(ended(world, letters, &journal));
    broken
}

/// INV-6 and INV-8: an order key's jobs leave in their order; only the lease that was given last changes
/// anything.
pub(crate) fn leased(journal: &[Durable]) -> Vec<String> {
    let mut current = HashMap::new();
    let mut broken = Vec::new();
    for entry in journal {
        match entry {
            Durable::HandedOut { lease, before, early } => {
                if *early {
                    broken.push(format!("{} is handed out before its time", lease.job));
                }
                if let Some(before) = before {
                    broken.push(format!("INV-6: {} is handed out before {before}", lease.job));
                }
                current.insert(lease.job, lease.token);
            }
            Durable::Settled { lease, word } => {
                let last = current.remove(&lease.job);
                let what = format!("INV-8: a stale lease made {} {word}", lease.job);
                broken.extend((last != Some(lease.token)).then_some(what));
            }
            Durable::Extended(lease) => {
                let last = current.get(&lease.job).copied();
                let what = format!("INV-8: a stale lease of {} was extended", lease.job);
                broken.extend((last != Some(lease.token)).then_some(what));
            }
            Durable::Reopened => current.clear(),
            _ => {}
        }
    }
    broken
}

/// INV-4: a key within its window has one event. A removal must have been due by the clock of its time.
fn once(journal: &[Durable]) -> Vec<String> {
    let mut owners: HashMap<DedupeKey, (EventId, hookward_core::Timestamp)> = HashMap::new();
    let mut broken = Vec::new();
    for entry in journal {
        match entry {
            Durable::Accepted { event, at, since, keys, .. } => {
                for key in keys {
                    if let Some((other, taken)) = owners.insert(*key, (*event, *at))
                        && taken >= *since
                    {
                        broken.push(format!("INV-4: {event} is {other} once more"));
                    }
                }
            }
            Durable::Removed { event, received_at, before } => {
                owners.retain(|_, (owner, _)| owner != event);
                if received_at >= before {
                    broken.push(format!("INV-2: {event} was removed before its time"));
                }
            }
            _ => {}
        }
    }
    broken
}

/// INV-1, INV-4, INV-5: every sender that went on was acknowledged; the answer is that of an event with
/// these bytes; nothing is stored that no sender sent.
fn answered(world: &World, letters: &[Letter], journal: &[Durable]) -> Vec<String> {
    let mut answers: HashMap<&[u8], Vec<&hookward_core::Reply>> = HashMap::new();
    for entry in journal {
        if let Durable::Accepted { body, answer, .. } = entry {
            answers.entry(body).or_default().push(answer);
        }
    }
    let mut broken = Vec::new();
    let mut acknowledged = BTreeSet::new();
    for ack in lock(&world.acks).iter() {
        acknowledged.insert(ack.letter);
        let own = answers.get(&letters[ack.letter].body[..]);
        if !own.is_some_and(|own| own.iter().any(|answer| **answer == ack.reply)) {
            let n = ack.letter;
            broken.push(format!("INV-4: letter {n} got an answer that is not stored: {own:?}"));
        }
    }
    for (n, letter) in letters.iter().enumerate() {
        let patient = letter.gives_up.is_none() && !letter.forged;
        if patient && !acknowledged.contains(&n) {
            broken.push(format!("INV-1: letter {n} was never acknowledged"));
        }
    }
    let sent: BTreeSet<&[u8]> =
        letters.iter().filter(|letter| !letter.forged).map(|letter| &letter.body[..]).collect();
    for body in answers.keys().filter(|body| !sent.contains(*body)) {
        broken.push(format!("INV-5 or 9: nobody sent {}", String::from_utf8_lossy(body)));
    }
    broken
}

/// How often each job was handed out, how often nothing ran then, and what an operator asked for again.
pub(crate) struct Handed {
    out: BTreeMap<JobId, usize>,
    unrun: BTreeMap<JobId, usize>,
    replayed: BTreeSet<JobId>,
}

impl Handed {
    pub(crate) fn of(journal: &[Durable]) -> Self {
        let (mut out, mut unrun) = (BTreeMap::new(), BTreeMap::new());
        for entry in journal {
            match entry {
                Durable::HandedOut { lease, .. } => *out.entry(lease.job).or_default() += 1,
                Durable::Settled { lease, word: "unrouted" | "given back" } => {
                    *unrun.entry(lease.job).or_default() += 1;
                }
                _ => {}
            }
        }
        Self { out, unrun, replayed: journal.iter().filter_map(replayed).collect() }
    }

    /// INV-3 of one job; `added`: by an operator, after its event was accepted.
    pub(crate) fn wrong(
        &self,
        id: JobId,
        job: &JobDetail,
        added: bool,
        runs: &[Run],
    ) -> Option<String> {
        let claims = self.out.get(&id).copied().unwrap_or(0);
        let unrun = self.unrun.get(&id).copied().unwrap_or(0);
        caused(job, claims - unrun.min(claims), added, self.replayed.contains(&id))
            .or_else(|| ran(runs, id, job))
            .map(|wrong| format!("INV-3: {id} {wrong}: {job:?}"))
    }
}

/// INV-2 and INV-3: every accepted event is there and has ended, or was removed; every run has its
/// cause on record.
fn ended(world: &World, letters: &[Letter], journal: &[Durable]) -> Vec<String> {
    let removed: BTreeSet<EventId> = journal.iter().filter_map(removed).collect();
    let handed = Handed::of(journal);
    let ledger = lock(&world.ledger);
    let disk = lock(&world.disk);
    let mut broken = Vec::new();
    for entry in journal {
        let Durable::Accepted { event, body, jobs, .. } = entry else { continue };
        if removed.contains(event) {
            continue;
        }
        let Some(row) = disk.places.get(event).and_then(|place| disk.rows.get(place)) else {
            broken.push(format!("INV-2: {event} has vanished"));
            continue;
        };
        let shown = detail(row);
        if shown.summary.status == Status::Pending {
            broken.push(format!("INV-2: {event} has not ended"));
        }
        if shown.event.body().bytes() != body {
            broken.push(format!("INV-9: {event} has other bytes"));
        }
        let letter = letters.iter().find(|letter| letter.body == *body);
        let own = shown.jobs.iter().take(*jobs as usize).map(|job| &*job.route).collect::<Vec<_>>();
        if letter.is_some_and(|letter| !one_plan(letter, &own)) {
            broken.push(format!("{event} was routed by two configurations: {own:?}"));
        }
        for job in &shown.jobs {
            let id = JobId { event: *event, n: job.n };
            broken.extend(handed.wrong(id, job, job.n >= *jobs, &ledger.runs));
        }
    }
    broken
}

fn removed(entry: &Durable) -> Option<EventId> {
    if let Durable::Removed { event, .. } = entry { Some(*event) } else { None }
}

fn replayed(entry: &Durable) -> Option<JobId> {
    if let Durable::Replayed(job) = entry { Some(*job) } else { None }
}

/// The routes of one of the two configurations, not some of each.
fn one_plan(letter: &Letter, routes: &[&str]) -> bool {
    let allowed: &[&[&str]] = match letter.event_type {
        "charge.succeeded" => &[&["orders", "mail"], &["orders", "audit"]],
        "invoice.paid" => &[&["orders"]],
        "push" => &[&["mail"], &["audit"]],
        _ => &[&[]],
    };
    let is: BTreeSet<_> = routes.iter().collect();
    is.len() == routes.len() && allowed.iter().any(|set| set.iter().collect::<BTreeSet<_>>() == is)
}

/// Each claim has its record, and each record behind another says why it is there.
fn caused(job: &JobDetail, claims: usize, added: bool, replayed: bool) -> Option<String> {
    if job.attempts.len() != claims {
        return Some(format!("was handed out {claims} times"));
    }
    let first = job.attempts.first().and_then(|record| record.cause.as_deref());
    if claims > 0 && (first.is_some() || added) && !(first == Some("replay") && replayed) {
        return Some("has a cause before its first attempt, or none as a replay".to_owned());
    }
    for pair in job.attempts.windows(2) {
        let cause = pair[1].cause.as_deref();
        let fits = match &*pair[0].outcome {
            "error" | "panic" => cause == Some("error"),
            "timeout" => cause == Some("timeout"),
            "lease" => cause == Some("lease"),
            "crash" => cause == Some("crash"),
            "released" => cause == pair[0].cause.as_deref(),
            _ => false,
        };
        let revived = replayed && cause == Some("replay") && pair[0].outcome != "done";
        if !fits && !revived {
            return Some(format!("ran again after {:?} because of {cause:?}", pair[0].outcome));
        }
    }
    None
}

/// At least once where it is done; no run of a step without a claim.
fn ran(runs: &[Run], id: JobId, job: &JobDetail) -> Option<String> {
    let mut by_step: BTreeMap<&str, usize> = BTreeMap::new();
    let mut well = false;
    for run in runs.iter().filter(|run| run.job == id) {
        *by_step.entry(&*run.step).or_default() += 1;
        let last = matches!(&*run.step, "second" | "third" | "only") && run.end == "ok";
        well |= last || run.end == "stopped";
    }
    let most = by_step.values().copied().max().unwrap_or(0);
    if most > job.attempts.len() {
        return Some(format!("ran {most} times"));
    }
    (job.state == JobState::Done && !well).then(|| "is done and did not run".to_owned())
}
