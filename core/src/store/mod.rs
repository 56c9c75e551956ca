//! A store: holds accepted deliveries and their jobs. Implemented by store crates and, as the
//! reference, by the engine's memory store; called by the engine's ingest pipeline, its worker and
//! the admin API.
//!
//! Every call takes a batch, so that one disk flush serves many deliveries. The current time is
//! always an argument: a store has no clock of its own.
//!
//! An event passes through a store like this: [`Store::accept`] stores it with its jobs,
//! [`Store::claim`] leases a job to a worker, [`Store::settle`] records how the attempt ended, and
//! [`Store::purge`] removes the event at the end of its retention.

mod attempt;
mod batch_item;
mod browse;
mod error;
mod job_queue;
mod open;
mod records;

use std::fmt;

use async_trait::async_trait;

pub use attempt::{
    AttemptOutcome, AttemptRecord, Cause, ParseAttemptOutcomeError, ParseCauseError,
};
pub use batch_item::batch_item;
pub use browse::{
    Browse, ContentDuplicate, EventDetail, EventFilter, EventPage, EventStatus, EventSummary,
    JobCounts, JobDetail, JobState, PageCursor, ParseEventStatusError, ReplayJob,
};
pub use error::StoreError;
pub use job_queue::{JobQueue, QueuedJob};
pub use open::{OpenCx, OpenError, OpenFuture, StorePolicy};
pub use records::{
    Acceptance, ClaimRequest, DedupeKey, DedupeKeyKind, Job, JobOutcome, KeepKeys, Lease,
    NewDelivery, NewEvent, NewJob, NewStatus, PurgeRequest, QueueDepth, RetentionState, RouteDepth,
    Settled, Settlement, UnsignedId,
};

pub use crate::id::JobId;

use crate::clock::Timestamp;

/// Stores deliveries durably, leases their jobs, and records how the jobs end.
///
/// Many tasks call a store at the same time. A call that returns `Ok` has happened completely and,
/// if the store is [`durable`](Self::durable), survives a power cut; a call that returns an error
/// may have happened.
///
/// ```
/// use hookward_core::store::{Acceptance, NewDelivery, Store, StoreError};
///
/// /// Stores one delivery and says whether it is new.
/// async fn accept_one(store: &dyn Store, delivery: NewDelivery) -> Result<bool, StoreError> {
///     let answers = store.accept(vec![delivery]).await?;
///     Ok(answers.iter().any(|answer| matches!(answer, Acceptance::Accepted { .. })))
/// }
/// ```
#[async_trait]
pub trait Store: fmt::Debug + Send + Sync + 'static {
    /// Accepts deliveries and returns one answer for each, in order, once all are durable.
    ///
    /// Each delivery is atomic: its dedupe keys, its events and their jobs are stored together or
    /// not at all. Where two deliveries of one call have the same key, the second is the duplicate.
    async fn accept(&self, deliveries: Vec<NewDelivery>) -> Result<Vec<Acceptance>, StoreError>;

    /// Leases jobs that are due, at most as many of each route as it has free slots, and counts the
    /// attempt. Jobs whose lease has expired are reclaimed first and may be among them.
    async fn claim(&self, request: ClaimRequest) -> Result<Vec<Job>, StoreError>;

    /// Records how claimed jobs ended; one result for each, in order. An outcome under a stale
    /// lease changes nothing and gives [`Settled::Stale`].
    async fn settle(&self, outcomes: Vec<JobOutcome>) -> Result<Vec<Settled>, StoreError>;

    /// Moves the end of leases to `until`; one result for each, in order. A stale lease changes
    /// nothing and gives [`Settled::Stale`].
    async fn extend(
        &self,
        leases: Vec<Lease>,
        until: Timestamp,
    ) -> Result<Vec<Settled>, StoreError>;

    /// Removes events past their retention, at most [`limit`](PurgeRequest::limit) of them; returns
    /// how many. The caller repeats it until the count is below the limit.
    async fn purge(&self, request: PurgeRequest) -> Result<u64, StoreError>;

    /// The state of the retention clock that was saved last, by this process or a former one; `None`
    /// if none was ever saved.
    async fn retention_state(&self) -> Result<Option<RetentionState>, StoreError>;

    /// Saves the state of the retention clock, as durably as an event.
    async fn save_retention_state(&self, state: RetentionState) -> Result<(), StoreError>;

    /// When a claim can next return a job: when the next pending job is due or the next lease
    /// expires, whichever is earlier. `None` where no job is pending or running. The store does not
    /// know of free slots, so the time may be in the past while every slot is taken.
    async fn next_due(&self) -> Result<Option<Timestamp>, StoreError>;

    /// How many jobs the store holds per route; read by metrics, health and readiness.
    async fn depth(&self) -> Result<QueueDepth, StoreError>;

    /// Whether the store could accept a delivery now; read by readiness.
    async fn check(&self) -> Result<(), StoreError>;

    /// Finishes the calls that have begun, then releases files and locks. Later calls give
    /// [`StoreError::Closed`].
    async fn close(&self);

    /// Whether an accepted delivery survives a power cut. `false` is shown in log and health.
    fn durable(&self) -> bool {
        true
    }

    /// Listing, showing and replaying, for stores that can. Without it the admin API answers 501.
    fn browse(&self) -> Option<&dyn Browse> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_used_as_dyn() {
        fn takes(_: Option<&dyn Store>, _: Option<&dyn Browse>) {}
        takes(None, None);
    }
}
