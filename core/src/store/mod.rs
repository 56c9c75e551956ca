//! A store: keeps accepted deliveries and their jobs. Implemented by store crates and, as the
//! reference, by the engine's memory store. Everything is batch-first, and `now` is always an
//! argument: a store has no clock of its own.

mod batch_item;
mod browse;
mod job_queue;
mod records;

use std::fmt;

use async_trait::async_trait;

pub use batch_item::batch_item;
pub use browse::{
    AttemptRecord, Browse, ContentDuplicate, Cursor, EventDetail, EventPage, EventSummary, Filter,
    JobCounts, JobDetail, JobState, ReplayJob, Status,
};
pub use job_queue::{JobQueue, QueuedJob};
pub use records::{
    Acceptance, Claim, DedupeKey, Depth, Job, JobId, JobOutcome, KeyKind, Lease, NewDelivery,
    NewEvent, NewJob, NewStatus, Purge, RouteDepth, Settled, Settlement,
};

use crate::clock::Timestamp;

/// Keeps deliveries, hands out jobs, takes back outcomes.
#[async_trait]
pub trait Store: fmt::Debug + Send + Sync + 'static {
    /// Takes deliveries in. Each is atomic: its dedupe keys, its events and their jobs, all or
    /// nothing. Returns once that is durable. The same key twice in one call: the second is a
    /// duplicate. One answer per delivery, in order.
    async fn accept(&self, deliveries: Vec<NewDelivery>) -> Result<Vec<Acceptance>, StoreError>;

    /// Leases jobs that are due, at most so many per route as there are free slots. The attempt
    /// is counted here.
    async fn claim(&self, want: Claim) -> Result<Vec<Job>, StoreError>;

    /// Takes back what became of leased jobs. A lease that is no longer the current one changes
    /// nothing and gives [`Settled::Stale`].
    async fn settle(&self, outcomes: Vec<JobOutcome>) -> Result<Vec<Settled>, StoreError>;

    /// Extends leases; same rule for stale ones.
    async fn extend(
        &self,
        leases: Vec<Lease>,
        until: Timestamp,
    ) -> Result<Vec<Settled>, StoreError>;

    /// Removes what is past its time, at most `limit` events; returns how many.
    async fn purge(&self, what: Purge) -> Result<u64, StoreError>;

    /// When it is worth while to claim again: when the next waiting job is due or the next lease
    /// ends, whichever is earlier. `None` where nothing waits and nothing is out. It does not know of
    /// free slots, so it may lie in the past while they are all taken.
    async fn next_due(&self) -> Result<Option<Timestamp>, StoreError>;

    /// How much waits.
    async fn depth(&self) -> Result<Depth, StoreError>;

    /// Whether deliveries could be taken in now.
    async fn check(&self) -> Result<(), StoreError>;

    /// Finishes what was begun and lets go of files and locks.
    async fn close(&self);

    /// Whether a 2xx may be backed by this store across a power cut. `false` is named in log and health.
    fn durable(&self) -> bool {
        true
    }

    /// Listing, showing, replaying: an ability that not every engine has.
    fn browse(&self) -> Option<&dyn Browse> {
        None
    }
}

/// What a store could not do. The delivery is then not accepted, and its sender told to retry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// It does not answer, or not in time; trying again may help.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// There is no room.
    #[error("the store is full: {0}")]
    Full(String),
    /// It failed in a way after which nothing it says can be trusted; restart the process.
    #[error("the store failed and takes nothing in any more: {0}")]
    Failed(String),
    /// It was closed. A store that says so before it was is taken for one that failed for good, as by
    /// [`Failed`](Self::Failed).
    #[error("the store is closed")]
    Closed,
    /// What was asked for is not in it.
    #[error("{0}")]
    NotFound(String),
}

/// Why a store could not be opened; for the operator, with what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct OpenError(pub String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_used_as_dyn() {
        fn takes(_: Option<&dyn Store>, _: Option<&dyn Browse>) {}
        takes(None, None);
    }
}
