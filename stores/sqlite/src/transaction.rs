//! A write transaction on the writer's connection, with cached statements for begin, commit and
//! rollback.

use std::ops::Deref;
use std::time::Instant;

use rusqlite::{Connection, Result};

use crate::telemetry;

/// An open transaction. Dropping it rolls back what was not committed.
///
/// [`commit`](Self::commit) borrows, so that a caller can classify an error while the transaction
/// is alive: [`store_error`](crate::error::store_error) reads the thread's last system error, which
/// the rollback in `drop` could overwrite.
#[derive(Debug)]
pub(crate) struct Transaction<'c> {
    conn: &'c Connection,
    /// Rows changed on this connection before the transaction.
    changes_before: u64,
}

impl<'c> Transaction<'c> {
    /// Begins a transaction that takes the write lock with its first write.
    pub(crate) fn begin(conn: &'c Connection) -> Result<Self> {
        // Deferred: a group that only reads, such as claims that find no job, never takes the write
        // lock.
        conn.prepare_cached("begin")?.execute([])?;
        Ok(Self { conn, changes_before: conn.total_changes() })
    }

    /// Begins a transaction that takes the write lock now, before it reads.
    pub(crate) fn begin_immediate(conn: &'c Connection) -> Result<Self> {
        // A deferred transaction that reads before it writes can fail with `SQLITE_BUSY_SNAPSHOT`
        // when another process wrote in between; recovery would then fail the whole start.
        conn.execute_batch("begin immediate")?;
        Ok(Self { conn, changes_before: conn.total_changes() })
    }

    /// Commits. The changes are on the disk when this returns `Ok`: `synchronous = full` makes
    /// SQLite sync the log here.
    pub(crate) fn commit(&self) -> Result<()> {
        // Measured here and not per command: the time is nearly all fsync, and says how fast the
        // disk is.
        let started = Instant::now();
        self.conn.prepare_cached("commit")?.execute([])?;
        telemetry::record_commit(started.elapsed());
        Ok(())
    }

    /// Commits if a row changed. Otherwise nothing has to become durable, so the transaction is
    /// rolled back and costs no fsync: a group of claims that found no job, or of duplicates.
    pub(crate) fn commit_changes(&self) -> Result<()> {
        if self.conn.total_changes() == self.changes_before {
            self.conn.prepare_cached("rollback")?.execute([])?;
            return Ok(());
        }
        self.commit()
    }
}

impl Deref for Transaction<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.conn
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        // SQLite itself rolls back after some errors, such as a full disk.
        if !self.conn.is_autocommit() {
            let _ = self.conn.execute_batch("rollback");
        }
    }
}
