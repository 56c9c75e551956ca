//! One group commit's changes of the memory. `accept.rs`, `claim.rs`, `settle.rs`, `purge.rs` and
//! `replay.rs` change the memory through a [`Batch`] alone, beside the transaction that changes the
//! file; `writer.rs` ends both together.

use std::sync::Arc;

use hookward_core::store::{ClaimRequest, Job, JobId, Lease, QueuedJob, StoreError, StorePolicy};
use hookward_core::{Event, Timestamp};
use rusqlite::{Connection, Result};

use super::{Memory, PurgeCursor};
use crate::command::{Output, Reply};
use crate::leases::ActiveLease;
use crate::queue::CacheUpdate;
use crate::rows::JobKey;
use crate::write_behind_index::{Hash, IndexUndo, KeyOwner};

/// The changes of one group, and the callers who wait for it.
///
/// Ends with [`commit`](Self::commit) or [`rollback`](Self::rollback), which consume it. Dropped
/// without either, after an early return, it undoes its changes and its callers learn that no
/// answer comes.
///
/// Two kinds of changes: those that the next operation of the group has to see (dedupe keys, names,
/// claimed jobs) are made immediately and are on record here to be undone; all others are on record
/// to be made by `commit`. So between two groups the memory never holds what the file does not.
#[must_use = "the changes are undone unless the batch is committed"]
#[derive(Debug)]
pub(crate) struct Batch<'m> {
    memory: &'m mut Memory,
    /// In the order of the group's operations.
    replies: Vec<Reply>,
    /// To be made by `commit`.
    updates: Vec<CacheUpdate>,
    /// To be undone: jobs that were taken from the queue.
    claimed: Vec<QueuedJob<JobKey>>,
    /// To be undone: leases of claimed jobs.
    leased: Vec<JobId>,
    /// To be made by `commit`: claimed jobs whose rows are corrupt are dead.
    corrupt: Vec<QueuedJob<JobKey>>,
    /// To be undone: names that the group wrote first.
    new_names: Vec<Arc<str>>,
    /// To be undone: owners of dedupe keys, and senders' ids.
    index_undo: Vec<IndexUndo>,
    /// To be made by `commit`.
    purge_cursor: PurgeCursor,
}

impl<'m> Batch<'m> {
    /// A batch without changes, for callers who wait for as many outputs.
    pub(crate) fn new(memory: &'m mut Memory, replies: Vec<Reply>) -> Self {
        // The buffer of the last group, so that a group of one event needs no allocation of its
        // own.
        let index_undo = memory.index.begin_undo();
        let purge_cursor = memory.purge_cursor;
        Self {
            memory,
            replies,
            updates: Vec::new(),
            claimed: Vec::new(),
            leased: Vec::new(),
            corrupt: Vec::new(),
            new_names: Vec::new(),
            index_undo,
            purge_cursor,
        }
    }

    /// Makes the changes of a group whose transaction is committed. The answers are sent by the
    /// caller, once it has published what follows from the group.
    pub(crate) fn commit(mut self, outputs: Vec<Output>) -> Answers {
        self.new_names.clear();
        self.leased.clear();
        let memory = &mut *self.memory;
        memory.index.discard_undo(std::mem::take(&mut self.index_undo));
        memory.purge_cursor = self.purge_cursor;
        for job in std::mem::take(&mut self.claimed) {
            // Only now: before the commit, a rollback has to find the body in memory again.
            memory.queue.uncache(job.key);
        }
        for job in std::mem::take(&mut self.corrupt) {
            // Before the updates: a replay in the same group may revive the job, which then counts
            // as open again.
            memory.queue.remove_corrupt(&job);
        }
        // In the order of the operations: counts saturate at zero, so a job must be counted up
        // before it is counted down.
        for update in std::mem::take(&mut self.updates) {
            memory.queue.apply(update);
        }
        Answers { replies: std::mem::take(&mut self.replies), outputs: Ok(outputs) }
    }

    /// Undoes the changes of a group whose transaction failed. All its callers get the error.
    pub(crate) fn rollback(mut self, error: StoreError) -> Answers {
        self.undo();
        Answers { replies: std::mem::take(&mut self.replies), outputs: Err(error) }
    }

    fn undo(&mut self) {
        let memory = &mut *self.memory;
        memory.index.apply_undo(std::mem::take(&mut self.index_undo));
        for name in std::mem::take(&mut self.new_names) {
            // Their rows are rolled back, so the number can belong to another name with the next
            // group.
            memory.names.remove(&name);
        }
        for job in std::mem::take(&mut self.leased) {
            // Before the jobs are put back: a job must not be waiting and leased at the same time.
            memory.queue.leases_mut().remove(&job);
        }
        for job in std::mem::take(&mut self.claimed) {
            memory.queue.push(job);
        }
    }
}

/// A second undo finds nothing left to do, so this is safe after `commit` and `rollback`.
impl Drop for Batch<'_> {
    fn drop(&mut self) {
        self.undo();
    }
}

/// Numbers of events and leases, and names of sources and routes.
impl Batch<'_> {
    /// The number of the next event.
    pub(crate) fn next_seq(&self) -> i64 {
        self.memory.numbers.next_seq
    }

    /// Takes the number of the next event.
    pub(crate) fn take_seq(&mut self) -> i64 {
        let seq = self.memory.numbers.next_seq;
        self.memory.numbers.next_seq += 1;
        seq
    }

    /// Takes the token of the next lease.
    pub(crate) fn take_token(&mut self) -> i64 {
        let token = self.memory.numbers.next_token;
        self.memory.numbers.next_token += 1;
        token
    }

    /// The number of a source's or route's name; a new name is written to its table.
    pub(crate) fn name_number(&mut self, conn: &Connection, name: &Arc<str>) -> Result<i64> {
        if let Some(number) = self.memory.names.number_of(name) {
            return Ok(number);
        }
        let number = self.memory.names.add(conn, name)?;
        // The row exists only if the group is committed. Kept after a rollback, the number would
        // stand in rows of events without a name in the table.
        self.new_names.push(name.clone());
        Ok(number)
    }

    /// The name of a source or route.
    pub(crate) fn name(&self, number: i64) -> Arc<str> {
        self.memory.name(number)
    }
}

/// Dedupe keys and senders' event ids. Changed immediately: a second delivery of the same group has
/// to find the keys of the first.
impl Batch<'_> {
    /// The owner of a key, if the memory has it.
    pub(crate) fn key_owner(&self, hash: &Hash) -> Option<KeyOwner> {
        self.memory.index.owner(hash)
    }

    /// Whether keys of purged events may be in their table.
    pub(crate) fn has_purged_keys(&self) -> bool {
        self.memory.has_purged_keys
    }

    /// Records that the group adds keys of purged events.
    pub(crate) fn set_has_purged_keys(&mut self) {
        self.memory.has_purged_keys = true;
    }

    /// Gives a key to a new event.
    pub(crate) fn set_key_owner(&mut self, hash: Hash, owner: KeyOwner) {
        self.memory.index.set_owner(hash, owner, &mut self.index_undo);
    }

    /// Adds the sender's id of a new event.
    pub(crate) fn add_event_id(&mut self, seq: i64, event_id: &str) {
        self.memory.index.add_event_id(seq, event_id, &mut self.index_undo);
    }

    /// Removes a key of an event that is out of its dedupe window.
    pub(crate) fn remove_key(&mut self, seq: i64, hash: &Hash) {
        self.memory.index.remove_key(seq, hash, &mut self.index_undo);
    }

    /// Removes the id and the keys of a purged event.
    pub(crate) fn remove_event(&mut self, seq: i64, hashes: &[u8]) {
        self.memory.index.remove_event(seq, hashes, &mut self.index_undo);
    }
}

/// Jobs and leases, claimed immediately and settled at the commit.
impl Batch<'_> {
    /// Records a change of the queue for `commit`.
    pub(crate) fn update(&mut self, update: CacheUpdate) {
        self.updates.push(update);
    }

    /// Takes the jobs that may run now, immediately: a second claim of the same group must not get
    /// them.
    pub(crate) fn claim_ready(&mut self, claim: &ClaimRequest) -> Vec<QueuedJob<JobKey>> {
        let ready = self.memory.queue.claim_ready(claim);
        // Recorded before any of them is read or written: an error at the first one has to put back
        // the rest.
        self.claimed.extend(ready.iter().cloned());
        ready
    }

    /// The limits that the store was opened with.
    pub(crate) fn policy(&self) -> StorePolicy {
        self.memory.policy
    }

    /// The event of a claimed job, if it is in memory. It stays there until `commit`.
    pub(crate) fn cached_event(&self, key: JobKey) -> Option<&Event> {
        self.memory.queue.cached(key)
    }

    /// Adds the lease of a claimed job.
    pub(crate) fn lease(&mut self, id: JobId, lease: ActiveLease) {
        self.memory.queue.leases_mut().insert(id, lease);
        // The memory learns of the lease now, not at the commit: an outcome in a later group must
        // find it, and `next_due` counts its end.
        self.leased.push(id);
    }

    /// Records that a claimed job is dead, because its row is corrupt.
    pub(crate) fn dead_letter_corrupt(&mut self, job: QueuedJob<JobKey>) {
        self.corrupt.push(job);
    }

    /// The lease of a job, if it is the current one.
    pub(crate) fn active_lease(&self, lease: &Lease) -> Option<&ActiveLease> {
        let active = self.memory.queue.leases().get(&lease.job);
        active.filter(|active| active.token == lease.token.cast_signed())
    }

    /// Moves the end of a lease. Not undone by `rollback`: an extension writes nothing, and a
    /// worker must not lose its lease because another caller's write failed.
    pub(crate) fn extend_lease(&mut self, lease: &Lease, until: Timestamp) -> bool {
        let token = lease.token.cast_signed();
        self.memory.queue.leases_mut().extend(&lease.job, token, until)
    }

    /// The latest time that a claim named: the clock of this store.
    pub(crate) fn now(&self) -> Timestamp {
        self.memory.queue.now()
    }
}

/// The position of the purge.
impl Batch<'_> {
    /// Takes the position at which the last purge stopped.
    pub(crate) fn take_purge_cursor(&mut self) -> PurgeCursor {
        self.purge_cursor.take()
    }

    /// Records the position for the next purge.
    pub(crate) fn set_purge_cursor(&mut self, cursor: PurgeCursor) {
        self.purge_cursor = cursor;
    }
}

/// The answers of a group that has ended, not sent yet.
#[must_use = "the callers wait for their answers"]
#[derive(Debug)]
pub(crate) struct Answers {
    replies: Vec<Reply>,
    outputs: std::result::Result<Vec<Output>, StoreError>,
}

impl Answers {
    /// Why the group failed, if it did.
    pub(crate) fn error(&self) -> Option<&StoreError> {
        self.outputs.as_ref().err()
    }

    /// Sends the answers. Returns claimed jobs whose caller is gone: nobody will run them.
    pub(crate) fn send(self) -> Vec<Job> {
        let outputs = match self.outputs {
            Ok(outputs) => outputs,
            Err(error) => {
                for reply in self.replies {
                    let _ = reply.send(Err(error.clone()));
                }
                return Vec::new();
            }
        };
        let mut undelivered = Vec::new();
        for (reply, output) in self.replies.into_iter().zip(outputs) {
            if let Err(Ok(Output::Jobs(jobs))) = reply.send(Ok(output)) {
                // The caller was cancelled between its command and this answer.
                undelivered.extend(jobs);
            }
        }
        undelivered
    }
}
