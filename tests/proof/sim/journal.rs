//! The journal of the simulated store: what became durable, in that order. The invariants are
//! checked against it, not against what callers were answered.

use bytes::Bytes;
use hookward_core::store::{DedupeKey, JobId, Lease};
use hookward_core::{EventId, Reply, Timestamp};

/// Settlement of a claimed job that was released before a step ran.
pub(crate) const RELEASED_UNSTARTED: &str = "released unstarted";
/// Settlement of a job whose route is gone.
pub(crate) const UNROUTED: &str = "unrouted";

/// One change that became durable.
#[derive(Debug, Clone)]
pub(crate) enum JournalEntry {
    Accepted {
        event: EventId,
        body: Bytes,
        at: Timestamp,
        /// Start of the dedupe window at that time.
        since: Timestamp,
        keys: Vec<DedupeKey>,
        jobs: u32,
        answer: Reply,
    },
    Claimed {
        lease: Lease,
        /// An open job of the same order key that was accepted earlier.
        overtaken: Option<JobId>,
        /// The job was not due, even if the clock had not been set back since.
        early: bool,
    },
    Settled {
        lease: Lease,
        settlement: &'static str,
    },
    Extended(Lease),
    Replayed(JobId),
    Removed {
        event: EventId,
        received_at: Timestamp,
        /// Retention allowed removal of events received before this time.
        before: Timestamp,
    },
    /// A new process opened the store.
    Reopened,
}
