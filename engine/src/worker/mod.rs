//! The worker: what happens to a job after the answer. It claims jobs, runs their steps, settles
//! how they ended, and retries or gives up. Started once per process by servers.
//!
//! Four loops share one `Shared` and otherwise know nothing of each other:
//!
//! | loop | does |
//! | --- | --- |
//! | `claim` | claims jobs for free slots and starts each in a task of its own |
//! | `settle` | stores the outcomes of attempts in batches |
//! | `heartbeat` | extends the leases of running jobs |
//! | `retention` | purges expired events and publishes the queue's gauges |

mod attempt;
mod breaker;
mod claim;
mod heartbeat;
mod leases;
mod retention;
mod retry;
mod running;
mod settle;
mod slots;
mod supervise;

use std::sync::Arc;
use std::time::Duration;

use hookward_core::store::JobOutcome;
use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::engine::Engine;
use crate::telemetry;
use breaker::Breakers;
use leases::LeaseClock;
use running::RunningJobs;
use slots::Slots;

/// How long a stopping worker waits for the store to take the last outcomes.
const LAST_SETTLE_TIMEOUT: Duration = Duration::from_secs(5);
/// How often a stopping worker checks whether all jobs have ended. Only a fallback: `progress` may
/// wake the claim loop instead.
const STOP_POLL_INTERVAL: Duration = Duration::from_millis(20);

/// The outcome of one attempt, and its job's route for metrics. Goes from claim to settle.
type RouteOutcome = (Arc<str>, JobOutcome);

/// A running worker. Dropping it stops it as well, without waiting for the store.
#[derive(Debug)]
pub struct Worker {
    shared: Arc<Shared>,
    tasks: Vec<JoinHandle<()>>,
}

/// What the loops of one worker share.
#[derive(Debug)]
struct Shared {
    engine: Arc<Engine>,
    /// The runtime on which handlers run.
    runtime: Handle,
    breakers: Breakers,
    running: RunningJobs,
    slots: Slots,
    leases: LeaseClock,
    /// Notified when a slot became free or a job was settled: both may allow another claim.
    progress: Notify,
    /// Cancelled when no more jobs are to be claimed.
    stop: CancellationToken,
    /// Cancelled when running steps are to be broken off and their jobs released.
    abandon: CancellationToken,
    /// Cancelled by the settle loop after the last outcome.
    settled: CancellationToken,
}

impl Worker {
    /// Starts the loops on the current runtime. Handlers run on `runtime`: give them one of their
    /// own, so that a handler that blocks its thread delays no sender.
    pub fn start(engine: Arc<Engine>, runtime: Handle) -> Self {
        // Nothing runs yet, so no lease is older than this.
        let leases = LeaseClock::starting_at(engine.now());
        let shared = Arc::new(Shared {
            engine,
            runtime,
            breakers: Breakers::default(),
            running: RunningJobs::default(),
            slots: Slots::default(),
            leases,
            progress: Notify::new(),
            stop: CancellationToken::new(),
            abandon: CancellationToken::new(),
            settled: CancellationToken::new(),
        });
        // Unbounded: the end of an attempt must not wait for a store that is slow to settle.
        let (outcomes, unsettled) = mpsc::unbounded_channel();
        let run_state = shared.engine.run_state();
        let tasks = vec![
            supervise::spawn(run_state, "claim", claim::claim_loop(shared.clone(), outcomes)),
            supervise::spawn(run_state, "settle", settle::settle_loop(shared.clone(), unsettled)),
            supervise::spawn(run_state, "heartbeat", heartbeat::heartbeat_loop(shared.clone())),
            supervise::spawn(run_state, "retention", retention::retention_loop(shared.clone())),
        ];
        Self { shared, tasks }
    }

    /// Stops: claims no more, lets running jobs end for `grace`, releases the rest, and returns
    /// when the store has all outcomes, at most five seconds later. A released attempt does not
    /// count.
    pub async fn stop(self, grace: Duration) {
        let shared = &self.shared;
        // No claims first: a job that starts during the grace would only be broken off.
        shared.stop.cancel();
        let deadline = Instant::now() + grace;
        let before = shared.running.len();
        while !shared.running.is_empty() && Instant::now() < deadline {
            let _ = timeout(STOP_POLL_INTERVAL, shared.progress.notified()).await;
        }
        let unfinished = shared.running.len();
        // The attempts now end as released, and their outcomes are settled like any others.
        shared.abandon.cancel();
        // Bounded: a store that hangs must not keep the process from ending. What is not settled,
        // the next process finds running and runs again.
        let _ = timeout(LAST_SETTLE_TIMEOUT, shared.settled.cancelled()).await;
        telemetry::log_worker_stopped(before.saturating_sub(unfinished), unfinished);
        // The heartbeat and a settle that hangs would outlive the worker.
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// A worker that nobody stopped claims no more and releases its running jobs.
impl Drop for Worker {
    fn drop(&mut self) {
        // The loops end by themselves once the attempts have been released. After `stop` this
        // changes nothing.
        self.shared.stop.cancel();
        self.shared.abandon.cancel();
    }
}
