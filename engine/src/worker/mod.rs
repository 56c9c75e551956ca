//! The work loop: claim, run, settle. One task claims what there are free slots for; each job runs on
//! its own; one task settles in batches; one keeps the leases. Started once per process by servers.

mod attempt;
pub(crate) mod breaker;
mod retention;
pub mod retry;
mod supervise;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hookward_core::Timestamp;
use hookward_core::store::{Claim, Job, JobId, JobOutcome, Lease, Settled, Settlement, StoreError};
use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::compiled::Route;
use crate::engine::Engine;
use crate::telemetry;

/// A lease ends so long after its claim or its last heartbeat.
const LEASE: Duration = Duration::from_secs(30);
/// Leases are extended this often.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// Where they were not for so long, they are before the next claim.
const STALE: Duration = Duration::from_secs(15);
/// The worker looks at the store at least this often, whatever it was told.
const LOOK: Duration = Duration::from_secs(5);
/// It looks this often while jobs are due for which there is no slot: the store does not say what
/// comes due behind them.
const CROWDED: Duration = Duration::from_millis(250);
/// Jobs of routes that are gone, settled as unrouted at a time.
const UNKNOWN: usize = 64;
/// Outcomes that go into one settlement at most.
const SETTLE: usize = 256;

/// The running worker.
#[derive(Debug)]
pub struct Worker {
    shared: Arc<Shared>,
    tasks: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    engine: Arc<Engine>,
    runtime: Handle,
    /// In the order of their ids, so that what happens to all of them happens in one order.
    running: Mutex<BTreeMap<JobId, Running>>,
    slots: Mutex<HashMap<Arc<str>, usize>>,
    freed: Notify,
    /// No more claims.
    stop: CancellationToken,
    /// What runs is given back.
    abandon: CancellationToken,
    /// The last outcome is settled.
    settled: CancellationToken,
    /// In milliseconds.
    extended_at: AtomicI64,
}

#[derive(Debug)]
struct Running {
    lease: Lease,
    route: Arc<str>,
    lost: CancellationToken,
}

impl Worker {
    /// Starts working. Handlers run on `runtime`: give them one of their own, so that one that blocks
    /// holds up no sender.
    pub fn start(engine: Arc<Engine>, runtime: Handle) -> Self {
        let extended_at = AtomicI64::new(engine.now().as_millis());
        let shared = Arc::new(Shared {
            engine,
            runtime,
            running: Mutex::default(),
            slots: Mutex::default(),
            freed: Notify::new(),
            stop: CancellationToken::new(),
            abandon: CancellationToken::new(),
            settled: CancellationToken::new(),
            extended_at,
        });
        let (send, outcomes) = mpsc::unbounded_channel();
        let tasks = vec![
            supervise::spawn(&shared.engine, "claim", claim_loop(shared.clone(), send)),
            supervise::spawn(&shared.engine, "settle", settle_loop(shared.clone(), outcomes)),
            supervise::spawn(&shared.engine, "heartbeat", heartbeat(shared.clone())),
            supervise::spawn(
                &shared.engine,
                "keep",
                retention::run(shared.engine.clone(), shared.stop.clone()),
            ),
        ];
        Self { shared, tasks }
    }

    /// Claims no more, lets what runs finish for `grace`, gives the rest back, and returns when the
    /// store knows all of it.
    pub async fn stop(self, grace: Duration) {
        let shared = &self.shared;
        shared.stop.cancel();
        let deadline = tokio::time::Instant::now() + grace;
        let before = shared.running().len();
        while !shared.running().is_empty() && tokio::time::Instant::now() < deadline {
            let _ = tokio::time::timeout(Duration::from_millis(20), shared.freed.notified()).await;
        }
        let left = shared.running().len();
        shared.abandon.cancel();
        let _ = tokio::time::timeout(Duration::from_secs(5), shared.settled.cancelled()).await;
        telemetry::drained(before.saturating_sub(left), left);
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// A worker that nobody stopped claims no more, and gives back what runs.
impl Drop for Worker {
    fn drop(&mut self) {
        self.shared.stop.cancel();
        self.shared.abandon.cancel();
    }
}

impl Shared {
    fn running(&self) -> std::sync::MutexGuard<'_, BTreeMap<JobId, Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn slots(&self) -> std::sync::MutexGuard<'_, HashMap<Arc<str>, usize>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets a run; one of the same job that began later stays.
    fn ended(&self, lease: Lease) {
        let mut running = self.running();
        if running.get(&lease.job).is_some_and(|r| r.lease == lease) {
            running.remove(&lease.job);
        }
    }

    /// Free slots per route of the configuration in force; those without one are named, too: a route that
    /// is not named is one that is gone.
    fn free(&self) -> Vec<(Arc<str>, usize)> {
        let (config, now) = (self.engine.config(), self.engine.now());
        let slots = self.slots();
        let free = |route: &Route| {
            let used = slots.get(&route.name).copied().unwrap_or(0);
            let free = route.concurrency.saturating_sub(used);
            self.engine.breakers.allowed(route, free, used, now)
        };
        config.routes.values().map(|r| (r.name.clone(), free(r))).collect()
    }

    /// When the leases of what runs were last extended, by the wall clock, as leases are.
    fn extended_at(&self) -> Timestamp {
        Timestamp::from_millis(self.extended_at.load(Ordering::Relaxed))
    }

    /// The store failed; it is asked again in a second.
    async fn pause_claims(&self) {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => {}
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
        }
    }

    /// Takes a slot; it comes back when the chain has ended, before its outcome is stored, so that
    /// the next claim and this settlement share a commit.
    fn take_slot(&self, route: &Arc<str>) {
        *self.slots().entry(route.clone()).or_insert(0) += 1;
    }

    fn give_slot(&self, route: &Arc<str>) {
        if let Some(used) = self.slots().get_mut(route) {
            *used = used.saturating_sub(1);
        }
        self.freed.notify_one();
    }
}

async fn claim_loop(shared: Arc<Shared>, outcomes: mpsc::UnboundedSender<(Arc<str>, JobOutcome)>) {
    while !shared.stop.is_cancelled() {
        // After a pause of the process or a step of the clock, what runs is still ours: the store must
        // hear so before a claim tells it the time, by which it would take those jobs for lost.
        if shared.engine.now().since(shared.extended_at()) > STALE && !extend(&shared).await {
            shared.pause_claims().await;
            continue;
        }
        let slots = shared.free();
        let now = shared.engine.now();
        let full = slots.iter().all(|(_, free)| *free == 0);
        let until = now.plus(LEASE);
        let want = Claim { now, lease_until: until, slots, unknown: UNKNOWN };
        let claimed = match shared.engine.store().claim(want).await {
            Ok(jobs) => jobs,
            Err(e) => {
                shared.engine.store_failed("claim", &e);
                shared.pause_claims().await;
                continue;
            }
        };
        let none = claimed.is_empty();
        // Where the claim took longer than the lease, these may be another's by now.
        let late = shared.engine.now() >= until;
        for job in claimed {
            match late {
                true => give_back(job, &outcomes),
                false => start(&shared, job, &outcomes),
            }
        }
        if none || full {
            wait(&shared, full, now).await;
        }
    }
    // The channel closes when the last running job has sent its outcome.
}

/// Until there is a reason to claim again: work, a free slot, a job that comes due.
async fn wait(shared: &Shared, full: bool, claimed_at: Timestamp) {
    let due = if full { None } else { shared.engine.store().next_due().await.ok().flatten() };
    let pause = match due {
        // Due at the claim and not handed out: it waits for something else than time.
        Some(due) if due <= claimed_at => CROWDED,
        Some(due) => due.since(shared.engine.now()).min(LOOK),
        None => LOOK,
    };
    tokio::select! {
        biased;
        () = shared.stop.cancelled() => {}
        () = shared.engine.work_arrives() => {}
        () = shared.freed.notified() => {}
        () = tokio::time::sleep(pause) => {}
    }
}

/// Nothing ran; it goes on where it stood.
fn give_back(job: Job, outcomes: &mpsc::UnboundedSender<(Arc<str>, JobOutcome)>) {
    let body = job.step.is_some().then(|| job.event.body().bytes().clone());
    let settlement = Settlement::Released { step: job.step, body };
    let _ = outcomes.send((job.route, JobOutcome { lease: job.lease, settlement, attempt: None }));
}

fn start(shared: &Arc<Shared>, job: Job, outcomes: &mpsc::UnboundedSender<(Arc<str>, JobOutcome)>) {
    let lost = shared.abandon.child_token();
    let route = job.route.clone();
    shared.take_slot(&route);
    let running = Running { lease: job.lease, route: route.clone(), lost: lost.clone() };
    let older = shared.running().insert(job.lease.job, running);
    // The store took it for lost, by a clock that jumped: what its older run does no longer counts.
    if let Some(older) = older {
        telemetry::lease_lost(&older.route, older.lease.job);
        older.lost.cancel();
    }
    let (engine, shared, outcomes) = (&shared.engine, shared.clone(), outcomes.clone());
    supervise::spawn(engine, "attempt", async move {
        let outcome = attempt::attempt(&shared.engine, &shared.runtime, &job, &lost).await;
        shared.give_slot(&route);
        // Received until the last sender is gone, so this cannot fail while it matters.
        let _ = outcomes.send((route, outcome));
    });
}

async fn settle_loop(
    shared: Arc<Shared>,
    mut queue: mpsc::UnboundedReceiver<(Arc<str>, JobOutcome)>,
) {
    let mut batch = Vec::new();
    while queue.recv_many(&mut batch, SETTLE).await > 0 {
        settle(&shared, &mut batch).await;
    }
    shared.settled.cancel();
}

/// Stores a batch; a store that is away is asked again until it answers or the worker is given up.
async fn settle(shared: &Shared, batch: &mut Vec<(Arc<str>, JobOutcome)>) {
    let mut pause = Duration::from_millis(50);
    let answers = loop {
        let outcomes = batch.iter().map(|(_, o)| o.clone()).collect();
        match shared.engine.store().settle(outcomes).await {
            Ok(answers) => break answers,
            Err(e) => {
                shared.engine.store_failed("settle", &e);
                // A store that is lost takes none any more; a new process finds these jobs running.
                let lost = matches!(e, StoreError::Failed(_) | StoreError::Closed);
                if lost || shared.abandon.is_cancelled() {
                    break vec![Settled::Stale; batch.len()];
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(2));
            }
        }
    };
    for ((route, outcome), settled) in batch.drain(..).zip(answers) {
        shared.ended(outcome.lease);
        told(&route, &outcome, settled);
    }
    shared.freed.notify_one();
}

fn told(route: &str, outcome: &JobOutcome, settled: Settled) {
    if settled == Settled::Stale {
        telemetry::job(route, "stale");
        return;
    }
    match &outcome.settlement {
        Settlement::Done => telemetry::job(route, "done"),
        Settlement::Retry { .. } => telemetry::job(route, "retry"),
        Settlement::Dead { reason, .. } => {
            telemetry::job(route, "dead");
            telemetry::dead(route, outcome.lease.job, reason);
        }
        Settlement::Released { .. } => telemetry::job(route, "released"),
        Settlement::Unrouted => telemetry::job(route, "unrouted"),
    }
}

/// Extends the leases of what runs; a job whose lease is gone is given up, for it is another's.
async fn heartbeat(shared: Arc<Shared>) {
    let mut ticks = tokio::time::interval(HEARTBEAT);
    ticks.tick().await;
    loop {
        tokio::select! {
            biased;
            () = shared.settled.cancelled() => return,
            _ = ticks.tick() => {}
        }
        extend(&shared).await;
    }
}

/// Extends all leases once; `false`: the store failed.
async fn extend(shared: &Shared) -> bool {
    let now = shared.engine.now();
    let leases: Vec<Lease> = shared.running().values().map(|r| r.lease).collect();
    if !leases.is_empty() {
        let answers = match shared.engine.store().extend(leases.clone(), now.plus(LEASE)).await {
            Ok(answers) => answers,
            Err(e) => {
                shared.engine.store_failed("extend", &e);
                return false;
            }
        };
        for (lease, answer) in leases.iter().zip(answers) {
            let running = shared.running();
            let lost = running.get(&lease.job).filter(|r| r.lease == *lease);
            if let (Settled::Stale, Some(lost)) = (answer, lost) {
                telemetry::lease_lost(&lost.route, lease.job);
                lost.lost.cancel();
            }
        }
    }
    shared.extended_at.store(now.as_millis(), Ordering::Relaxed);
    true
}
