//! The claim loop: leases as many jobs as there are free slots, and starts each in a task of its
//! own.

use std::sync::Arc;
use std::time::Duration;

use hookward_core::Timestamp;
use hookward_core::store::{ClaimRequest, Job, JobOutcome, Settlement};
use tokio::sync::mpsc::UnboundedSender;

use super::attempt::run_attempt;
use super::leases::{LEASE_DURATION, extend_leases};
use super::supervise;
use super::{RouteOutcome, Shared};

/// The longest time between two claims, whether or not there was a signal to claim.
const MAX_CLAIM_INTERVAL: Duration = Duration::from_secs(5);
/// The time between two claims while a job is due and cannot be claimed, for want of a slot or
/// because of its order key. The store reports only the earliest due time, not what becomes due
/// behind that job.
const BLOCKED_CLAIM_INTERVAL: Duration = Duration::from_millis(250);
/// The time between two claims while the store fails.
const FAILED_CLAIM_PAUSE: Duration = Duration::from_secs(1);
/// The most jobs of removed routes in one claim. They are settled as unrouted, which needs no slot.
const MAX_UNROUTED_JOBS_PER_CLAIM: usize = 64;

/// Claims until the worker stops. The channel of outcomes closes when the last running job has sent
/// its own.
pub(super) async fn claim_loop(shared: Arc<Shared>, outcomes: UnboundedSender<RouteOutcome>) {
    while !shared.stop.is_cancelled() {
        // After a pause of the process or a step of the clock, running jobs are still ours. The
        // store must learn that before a claim passes it the time, because by that time their
        // leases have expired.
        if shared.leases.are_overdue(shared.engine.now()) && !extend_leases(&shared).await {
            pause_claims(&shared).await;
            continue;
        }
        let engine = &shared.engine;
        // Read anew for each claim, because a reload may have added routes or slots.
        let slots = shared.slots.free_slots(&engine.config(), &shared.breakers, engine.now());
        let now = engine.now();
        let no_free_slot = slots.iter().all(|(_, free)| *free == 0);
        let lease_until = now.plus(LEASE_DURATION);
        let claim = ClaimRequest::new(now, lease_until, slots)
            .with_max_unrouted(MAX_UNROUTED_JOBS_PER_CLAIM);
        let jobs = match engine.store().claim(claim).await {
            Ok(jobs) => jobs,
            Err(error) => {
                engine.run_state().report_store_error("claim", &error);
                pause_claims(&shared).await;
                continue;
            }
        };
        let claimed_none = jobs.is_empty();
        // A claim that took longer than its leases: the store may have given these jobs to another
        // worker.
        let expired = engine.now() >= lease_until;
        for job in jobs {
            if expired {
                release_job(job, &outcomes);
            } else {
                start_job(&shared, job, &outcomes);
            }
        }
        // Where jobs were claimed and slots are left, more jobs may be due: claim again
        // immediately.
        if claimed_none || no_free_slot {
            wait_for_work(&shared, no_free_slot, now).await;
        }
    }
}

/// Waits for a reason to claim again: new work, a free slot, or a job that becomes due.
async fn wait_for_work(shared: &Shared, no_free_slot: bool, claimed_at: Timestamp) {
    let engine = &shared.engine;
    // Without a free slot a due job changes nothing; only progress does.
    let due = if no_free_slot { None } else { engine.store().next_due().await.ok().flatten() };
    let interval = match due {
        // Due at the claim and not claimed: it waits for something else than time.
        Some(due) if due <= claimed_at => BLOCKED_CLAIM_INTERVAL,
        Some(due) => due.since(engine.now()).min(MAX_CLAIM_INTERVAL),
        None => MAX_CLAIM_INTERVAL,
    };
    tokio::select! {
        // In this order, so that simulations repeat exactly.
        biased;
        () = shared.stop.cancelled() => {}
        () = engine.work_arrives() => {}
        () = shared.progress.notified() => {}
        () = tokio::time::sleep(interval) => {}
    }
}

/// Waits before the store is asked again.
async fn pause_claims(shared: &Shared) {
    tokio::select! {
        biased;
        () = shared.stop.cancelled() => {}
        () = tokio::time::sleep(FAILED_CLAIM_PAUSE) => {}
    }
}

/// Releases a claimed job that was not started; the next attempt begins at the same step.
fn release_job(job: Job, outcomes: &UnboundedSender<RouteOutcome>) {
    let body = job.step.is_some().then(|| job.event.body().bytes().clone());
    let settlement = Settlement::Released { step: job.step, body };
    let _ = outcomes.send((job.route, JobOutcome::new(job.lease, settlement)));
}

/// Runs a claimed job in a task of its own.
fn start_job(shared: &Arc<Shared>, job: Job, outcomes: &UnboundedSender<RouteOutcome>) {
    // A child: stopping the worker stops every attempt, and a lost lease stops this one only.
    let stop = shared.abandon.child_token();
    let route = job.route.clone();
    // Before the task starts, so that the next claim counts this job.
    shared.slots.take(&route);
    shared.running.add(job.lease, route.clone(), stop.clone());
    let (run_state, shared, outcomes) =
        (shared.engine.run_state(), shared.clone(), outcomes.clone());
    supervise::spawn(run_state, "attempt", async move {
        let outcome = run_attempt(&shared, &job, &stop).await;
        // The slot is free before the outcome is stored, so that the next claim and this settlement
        // share one commit of the store.
        shared.slots.release(&route);
        shared.progress.notify_one();
        // The settle loop receives until the last sender is gone, so this fails only after an
        // abort.
        let _ = outcomes.send((route, outcome));
    });
}
