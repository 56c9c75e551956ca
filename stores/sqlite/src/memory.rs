//! What the writer keeps in memory: queue, leases, names, dedupe keys, numbers. The file can
//! rebuild all of it except the leases, which a new owner voids. Only a [`Batch`] changes it on
//! behalf of a command.

mod batch;

use std::sync::Arc;

use hookward_core::Timestamp;
use hookward_core::store::{JobId, StorePolicy};
use rusqlite::{Connection, Result};

pub(crate) use self::batch::Batch;
use crate::interner::Interner;
use crate::leases::ActiveLease;
use crate::queue::{Counts, Queue};
use crate::refill;
use crate::write_behind_index::WriteBehindIndex;

/// The next numbers of events and leases.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Numbers {
    /// Number of the next event.
    pub(crate) next_seq: i64,
    /// Token of the next lease.
    pub(crate) next_token: i64,
}

/// Position at which a purge stopped: `received_at` and `seq`. The next purge continues there, so
/// that events which have to stay do not block those behind them.
pub(crate) type PurgeCursor = Option<(i64, i64)>;

/// State of the writer between two groups.
#[derive(Debug)]
pub(crate) struct Memory {
    policy: StorePolicy,
    queue: Queue,
    names: Interner,
    index: WriteBehindIndex,
    /// Number of the next event and token of the next lease. They only grow, also when a group
    /// fails, so that a number which a failed group used never means something else later.
    numbers: Numbers,
    /// Where the last purge stopped.
    purge_cursor: PurgeCursor,
    /// Whether the table of kept keys may have rows. Set before a group that adds some is
    /// committed, and never reset: a look-up in an empty table costs little.
    has_purged_keys: bool,
}

impl Memory {
    /// Reads the memory of a new owner from the file, after
    /// [`void_leases`](crate::recover::void_leases).
    pub(crate) fn read(
        conn: &Connection,
        numbers: Numbers,
        now: Timestamp,
        policy: StorePolicy,
    ) -> Result<Self> {
        let mut memory = Self {
            policy,
            queue: Queue::new(now),
            names: Interner::read(conn)?,
            // Before the first command: a key that only a row has would let its duplicate in.
            index: WriteBehindIndex::read(conn)?,
            numbers,
            purge_cursor: None,
            has_purged_keys: conn.query_row(
                "select exists (select 1 from purged_keys)",
                [],
                |row| row.get(0),
            )?,
        };
        // Counted in the table, not in the queue, which holds only part of the open jobs.
        refill::count_jobs(conn, &memory.names, &mut memory.queue)?;
        memory.refill(conn)?;
        Ok(memory)
    }

    /// Reads jobs of routes of which the queue has few and the table has more.
    pub(crate) fn refill(&mut self, conn: &Connection) -> Result<()> {
        refill::refill(conn, &self.names, &mut self.queue)
    }

    /// Time at which the next job is due or the next lease ends.
    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        self.queue.next_due()
    }

    /// The leases that have ended at `now`.
    pub(crate) fn expired_leases(&self, now: Timestamp) -> Vec<(JobId, ActiveLease)> {
        self.queue.leases().expired(now)
    }

    /// Number of the last event, between two groups. Groups that failed are counted as well.
    pub(crate) fn newest_seq(&self) -> i64 {
        self.numbers.next_seq - 1
    }

    /// Open and dead jobs per route, shared with callers of `Store::depth`.
    pub(crate) fn counts(&self) -> Counts {
        self.queue.counts()
    }

    /// The index, for the question whether a flush is due.
    pub(crate) fn index(&self) -> &WriteBehindIndex {
        &self.index
    }

    /// The index, whose flush between two groups belongs to no batch.
    pub(crate) fn index_mut(&mut self) -> &mut WriteBehindIndex {
        &mut self.index
    }

    fn name(&self, number: i64) -> Arc<str> {
        self.names.name_of(number)
    }
}

#[cfg(test)]
impl Memory {
    pub(crate) fn queue_mut(&mut self) -> &mut Queue {
        &mut self.queue
    }

    /// Everything but the numbers, which only grow, the clock, and the order of ready jobs.
    pub(crate) fn snapshot(&self) -> std::collections::BTreeSet<String> {
        let cursor = format!("purge cursor {:?}", self.purge_cursor);
        let parts = [self.queue.snapshot(), self.names.snapshot(), self.index.snapshot()];
        parts.concat().into_iter().chain([cursor]).collect()
    }
}
