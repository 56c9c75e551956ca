//! What callers send to the writer thread, and what it answers. Made by `store.rs`, executed by
//! `writer.rs`.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};

use hookward_core::Timestamp;
use hookward_core::store::{
    Acceptance, ClaimRequest, Job, JobOutcome, Lease, NewDelivery, PurgeRequest, ReplayJob,
    RetentionState, Settled, StoreError,
};
use tokio::sync::oneshot;

/// Estimated bytes that one event adds to the file beside its body: its row, its jobs, its index
/// entries.
const EVENT_OVERHEAD_BYTES: usize = 1024;

/// Stored in [`Status::next_due`] while no job waits and no lease ends.
const NEVER_DUE: i64 = i64::MAX;

/// One operation on the store. Each has its own kind of [`Output`].
#[derive(Debug)]
pub(crate) enum Operation {
    Accept(Vec<NewDelivery>),
    Claim(ClaimRequest),
    Settle(Vec<JobOutcome>),
    Extend(Vec<Lease>, Timestamp),
    Purge(PurgeRequest),
    Replay(Timestamp, Vec<ReplayJob>),
    SaveRetentionState(RetentionState),
    /// Writes one small row, to find out whether a store with a health problem works again.
    Probe,
    /// Ends the thread after the current group.
    Close,
}

impl Operation {
    /// The leases that this operation names: their workers are alive.
    pub(crate) fn leases(&self) -> Vec<Lease> {
        match self {
            Self::Settle(outcomes) => outcomes.iter().map(|outcome| outcome.lease).collect(),
            Self::Extend(leases, _) => leases.clone(),
            _ => Vec::new(),
        }
    }

    /// Whether the file is larger afterwards. `Probe` counts as growth, because a store that
    /// rejects deliveries does not work for senders.
    pub(crate) fn grows_store(&self) -> bool {
        matches!(self, Self::Accept(_) | Self::Replay(..) | Self::Probe)
    }

    /// Estimated growth of the file in bytes.
    pub(crate) fn estimated_bytes(&self) -> u64 {
        let Self::Accept(deliveries) = self else { return 0 };
        let sizes =
            // An estimate is enough: it only decides how soon the disk is polled again.
            deliveries.iter().map(|d| d.body.bytes().len() + EVENT_OVERHEAD_BYTES * d.events.len());
        sizes.sum::<usize>() as u64
    }
}

/// The result of one [`Operation`].
#[derive(Debug)]
pub(crate) enum Output {
    Accepted(Vec<Acceptance>),
    Jobs(Vec<Job>),
    Settled(Vec<Settled>),
    Count(u64),
    Done,
}

/// Where the caller waits for the result.
pub(crate) type Reply = oneshot::Sender<Result<Output, StoreError>>;

/// An operation and its waiting caller.
#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) operation: Operation,
    pub(crate) reply: Reply,
}

/// State of the writer that other threads read without waiting for it.
#[derive(Debug)]
pub(crate) struct Status {
    /// Milliseconds since 1970, or [`NEVER_DUE`].
    next_due: AtomicI64,
    /// Error of the last group; cleared by the next group that is committed.
    health_problem: Mutex<Option<StoreError>>,
}

impl Default for Status {
    fn default() -> Self {
        Self { next_due: AtomicI64::new(NEVER_DUE), health_problem: Mutex::new(None) }
    }
}

impl Status {
    /// Time at which the next job is due or the next lease ends.
    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        let at = self.next_due.load(Ordering::Acquire);
        (at != NEVER_DUE).then(|| Timestamp::from_millis(at))
    }

    /// Publishes the time of the next due job or ended lease.
    pub(crate) fn set_next_due(&self, at: Option<Timestamp>) {
        // Pairs with the `Acquire` load of `next_due`: a worker that was woken by an answer reads a
        // time not older than that answer.
        self.next_due.store(at.map_or(NEVER_DUE, Timestamp::as_millis), Ordering::Release);
    }

    /// Why the last group failed, until a later group is committed.
    pub(crate) fn health_problem(&self) -> Option<StoreError> {
        self.health_problem.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Publishes why the last group failed; `None` after a commit.
    pub(crate) fn set_health_problem(&self, problem: Option<StoreError>) {
        *self.health_problem.lock().unwrap_or_else(PoisonError::into_inner) = problem;
    }
}
