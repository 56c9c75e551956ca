//! The thread that writes. It takes all commands that wait into one transaction and answers them
//! after its commit, so that one fsync serves many callers. If the transaction fails, it fails for
//! all of them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};

use hookward_core::Timestamp;
use hookward_core::store::{Job, JobOutcome, Settlement, StoreError, StorePolicy};
use rusqlite::{Connection, Result, Row};
use tokio::sync::oneshot;

use crate::command::{Command, Operation, Output, Status};
use crate::continuity::Content;
use crate::disk_space::DiskSpace;
use crate::error::{store_error, unreadable};
use crate::file_identity::FileIdentity;
use crate::high_water_mark::{LogState, Mark, MarkFile};
use crate::lock::Lock;
use crate::memory::{Batch, Memory};
use crate::queue::Counts;
use crate::recover;
use crate::settle::{self, requeue_expired, without_alive};
use crate::telemetry;
use crate::transaction::Transaction;
use crate::{accept, claim, purge, replay, retention};

/// Commands that share one commit.
const MAX_GROUP_COMMANDS: usize = 512;

/// The owner of the file: its only writing connection, and everything that has to change with it.
#[derive(Debug)]
pub(crate) struct Writer {
    // Fields drop in this order: the connection is closed before the lock is free.
    conn: Connection,
    memory: Memory,
    disk_space: DiskSpace,
    identity: Arc<FileIdentity>,
    status: Arc<Status>,
    /// Commands of the writer itself, served before those of callers.
    backlog: VecDeque<Command>,
    /// Why the store is failed: after an I/O error it must not be used until it is opened again.
    failed: Option<StoreError>,
    /// How far the store was committed, for the next start; `None` where it cannot be written.
    mark: Option<MarkFile>,
    _lock: Lock,
}

impl Writer {
    /// Recovers the file from its former owner, whose leases are void from `now` on.
    pub(crate) fn new(
        conn: Connection,
        lock: Lock,
        disk_space: DiskSpace,
        identity: FileIdentity,
        now: Timestamp,
        policy: StorePolicy,
    ) -> Result<Self> {
        // In this order: the memory is read from rows that recovery has already put back, so that
        // no job is in the queue as running.
        let numbers = recover::void_leases(&conn, now, policy.crash_limit)?;
        let memory = Memory::read(&conn, numbers, now, policy)?;
        let mut writer = Self {
            conn,
            memory,
            disk_space,
            identity: Arc::new(identity),
            status: Arc::default(),
            backlog: VecDeque::new(),
            failed: None,
            mark: None,
            _lock: lock,
        };
        // Last: a start that fails must not leave a reserve beside the file.
        writer.disk_space.begin();
        writer.status.set_next_due(writer.memory.next_due());
        Ok(writer)
    }

    /// Moves the first commit of this owner into the database, and returns what the high-water mark
    /// says from now on. `opens_before`: how often the store was opened before.
    pub(crate) fn checkpointed_content(&self, opens_before: i64) -> Result<Mark> {
        let row = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
        let (busy, log, moved): (i64, i64, i64) =
            self.conn.query_row("pragma wal_checkpoint(passive)", [], row)?;
        let content = Content::read(&self.conn)?;
        let Some(store_id) = content.store_id else { return Err(unreadable("the store's id")) };
        // Another program that reads the file, such as a backup, can hold a checkpoint up.
        let is_complete = busy == 0 && log == moved;
        Ok(Mark {
            store_id,
            opens: content.opens,
            opens_in_database: if is_complete { content.opens } else { opens_before },
            last_seq: content.last_seq,
            log: LogState::Opening,
        })
    }

    /// Gives the writer the mark, to which it writes after each commit of events.
    pub(crate) fn set_mark(&mut self, mark: Option<MarkFile>) {
        self.mark = mark;
    }

    /// What other threads may read without a command.
    pub(crate) fn status(&self) -> Arc<Status> {
        self.status.clone()
    }

    /// The identity of the files, for health checks between two groups.
    pub(crate) fn identity(&self) -> Arc<FileIdentity> {
        self.identity.clone()
    }

    /// Open and dead jobs per route, kept up to date by the writer.
    pub(crate) fn counts(&self) -> Counts {
        self.memory.counts()
    }

    /// Serves commands until one is `Close`, or until every sender is gone.
    pub(crate) fn run(mut self, commands: &Receiver<Command>) {
        let mut closing = None;
        while closing.is_none() {
            let Some(first) = self.next_command(commands) else { break };
            // A typical group; 512 slots for each would cost more than the growth of the rare full
            // one.
            let mut group = Vec::with_capacity(16);
            let mut next = Some(first);
            while let Some(command) = next.take() {
                if matches!(command.operation, Operation::Close) {
                    // Commands behind it in the channel get an error when the receiver is dropped,
                    // which their callers see as `Closed`.
                    closing = Some(command.reply);
                    break;
                }
                group.push(command);
                // Whatever waits already joins; nothing waits longer to make a group larger.
                if group.len() < MAX_GROUP_COMMANDS {
                    next = self.backlog.pop_front().or_else(|| commands.try_recv().ok());
                }
            }
            self.commit_group(group);
            self.flush_index();
        }
        // Releases jobs that the last group claimed for callers who are gone: without this, the
        // next owner would count a crash for them.
        let backlog = self.backlog.drain(..).collect();
        self.commit_group(backlog);
        if self.failed.is_none() {
            // Optional: what stays in the log is read at the next start.
            let _ = self.conn.execute_batch("pragma wal_checkpoint(truncate)");
        }
        if let Some(mark) = self.mark.take() {
            mark.close();
        }
        // Before the reply: whoever closed the store may open the file again immediately.
        drop(self);
        if let Some(reply) = closing {
            let _ = reply.send(Ok(Output::Done));
        }
    }

    /// Waits for a command, and uses the time to flush the index. `None` if every sender is gone.
    fn next_command(&mut self, commands: &Receiver<Command>) -> Option<Command> {
        if let Some(command) = self.backlog.pop_front() {
            return Some(command);
        }
        while self.may_flush_index() {
            match commands.try_recv() {
                Ok(command) => return Some(command),
                Err(TryRecvError::Empty) => self.flush_index(),
                Err(TryRecvError::Disconnected) => return None,
            }
        }
        commands.recv().ok()
    }

    /// Executes commands in one transaction and answers them.
    fn commit_group(&mut self, commands: Vec<Command>) {
        let incoming = commands.iter().map(|command| command.operation.estimated_bytes()).sum();
        let commands = match self.disk_space.check(incoming) {
            None => commands,
            Some(error) => self.reject_growth(commands, &error),
        };
        if commands.is_empty() {
            return;
        }
        // Apart, so that an output cannot be sent before the commit: the replies are in the batch,
        // which sends them only when it ends.
        let (operations, replies): (Vec<_>, Vec<_>) =
            commands.into_iter().map(|command| (command.operation, command.reply)).unzip();
        // A failed store answers everything with its first error. Later errors only follow from it
        // and would hide the cause.
        let prepared = match &self.failed {
            Some(error) => Err(error.clone()),
            None => self.prepare_memory(&operations),
        };
        let newest_before = self.memory.newest_seq();
        // From here on nothing but the batch can change the memory, until it is consumed.
        let mut batch = Batch::new(&mut self.memory, replies);
        let outcome = prepared
            .and_then(|()| write(&self.conn, &mut batch, operations))
            // After the commit and before any answer: a commit into a file that is gone by then must
            // not be acknowledged.
            .and_then(|outputs| self.identity.check().map(|()| outputs));
        let answers = match outcome {
            Ok(outputs) => batch.commit(outputs),
            Err(error) => batch.rollback(error),
        };
        // A group that failed takes numbers as well, which no commit has.
        if answers.error().is_none() && self.memory.newest_seq() > newest_before {
            let newest = self.memory.newest_seq();
            // Before the answers: after a kill, the mark knows every event that was acknowledged.
            if let Some(mark) = &mut self.mark {
                mark.record(newest);
            }
        }
        match answers.error() {
            // A commit proves that the store works. It does not prove that there is space for
            // deliveries.
            None => self.status.set_health_problem(self.disk_space.low()),
            Some(error) => self.note_failure(error),
        }
        // Before the answers: a caller that has one must not read an older `next_due`.
        self.status.set_next_due(self.memory.next_due());
        let undelivered = answers.send();
        self.release(undelivered);
    }

    /// Answers the operations that grow the store with `error` and returns the others: claims,
    /// settlements and purges continue on a disk that is nearly full, because they free space.
    fn reject_growth(&self, commands: Vec<Command>, error: &StoreError) -> Vec<Command> {
        let (growing, rest) =
            commands.into_iter().partition::<Vec<_>, _>(|c| c.operation.grows_store());
        if self.failed.is_none() {
            self.status.set_health_problem(Some(error.clone()));
        }
        for command in growing {
            // Of a failed store on a full disk, the failure matters: it stays when there is space
            // again.
            let error = self.failed.as_ref().unwrap_or(error);
            let _ = command.reply.send(Err(error.clone()));
        }
        rest
    }

    /// Makes the queue ready for the claims of a group: expired leases end, and routes with few
    /// queued jobs are refilled from the table.
    fn prepare_memory(&mut self, operations: &[Operation]) -> std::result::Result<(), StoreError> {
        let claims = operations.iter().filter_map(|operation| match operation {
            Operation::Claim(claim) => Some(claim.now),
            _ => None,
        });
        // Time passes with claims only. Ended leases matter to nobody else, and a group without a
        // claim is spared the transaction.
        if let Some(now) = claims.max() {
            self.reclaim_expired(now, operations)?;
        }
        // Before the transaction begins: it reads committed rows only, so that a rollback does not
        // have to undo it.
        self.memory.refill(&self.conn).map_err(|e| store_error(&e))
    }

    /// Puts the jobs of expired leases back. In a transaction of its own, so that the claims of the
    /// group find these jobs in the queue.
    fn reclaim_expired(
        &mut self,
        now: Timestamp,
        operations: &[Operation],
    ) -> std::result::Result<(), StoreError> {
        let mut expired = self.memory.expired_leases(now);
        if !expired.is_empty() {
            expired = without_alive(expired, operations.iter().flat_map(Operation::leases));
        }
        if expired.is_empty() {
            return Ok(());
        }
        let transaction = Transaction::begin(&self.conn).map_err(|e| store_error(&e))?;
        let mut batch = Batch::new(&mut self.memory, Vec::new());
        requeue_expired(&transaction, &mut batch, expired, now).map_err(|e| store_error(&e))?;
        transaction.commit().map_err(|e| store_error(&e))?;
        // Nobody waits for this, so there is no answer to send.
        let _ = batch.commit(Vec::new());
        Ok(())
    }

    /// Adjusts the writer to the failure of a group or of a flush.
    fn note_failure(&mut self, error: &StoreError) {
        if self.failed.is_none() {
            telemetry::group_failed(error);
        }
        match error {
            // No later group may be tried: after a failed fsync the page cache may hold pages that
            // the disk does not have, and a commit on top of them would look durable.
            StoreError::Failed(_) => self.failed = Some(error.clone()),
            // The failed group is lost, but the next one finds the space of the reserve.
            StoreError::Full(_) => self.disk_space.free_reserve(),
            _ => {}
        }
        self.status.set_health_problem(Some(error.clone()));
    }

    /// Queues the release of claimed jobs whose caller is gone. They would otherwise wait for the
    /// end of their leases.
    fn release(&mut self, jobs: Vec<Job>) {
        if jobs.is_empty() {
            return;
        }
        let outcomes = jobs.into_iter().map(|job| {
            // A job in the middle of its chain has a body of its own, which the release must not
            // lose. A job at its first step has the body of its event.
            let own = job.event.body().bytes().clone();
            let body = job.step.is_some().then_some(own);
            let settlement = Settlement::Released { step: job.step, body };
            JobOutcome::new(job.lease, settlement)
        });
        let operation = Operation::Settle(outcomes.collect());
        self.backlog.push_back(Command { operation, reply: oneshot::channel().0 });
    }

    /// Whether a step of the index flush is due and may write.
    fn may_flush_index(&self) -> bool {
        // A flush is never worth the last space of the disk: its entries are durable in the rows of
        // their events already.
        let may_write = self.failed.is_none() && self.disk_space.low().is_none();
        self.memory.index().has_flush_step() && may_write
    }

    /// Writes one step of the index flush; all of it if the memory holds too many entries.
    fn flush_index(&mut self) {
        let newest = self.memory.newest_seq();
        self.memory.index_mut().start_flush(newest);
        while self.may_flush_index() {
            match self.memory.index_mut().flush_step(&self.conn) {
                // Commands wait meanwhile, which is what slows their callers down to the speed of
                // the disk.
                Ok(()) if self.memory.index().is_overfull() => {}
                Ok(()) => return,
                Err(error) => self.note_flush_failure(&error),
            }
        }
    }

    /// Pauses the flush. No answer depends on it, so all but an I/O error leaves the store as it
    /// is.
    fn note_flush_failure(&mut self, error: &StoreError) {
        self.memory.index_mut().pause_flush();
        match error {
            // An I/O error of a flush says as much about the disk as one of a group.
            StoreError::Failed(_) => return self.note_failure(error),
            StoreError::Full(_) => self.disk_space.free_reserve(),
            _ => {}
        }
        telemetry::index_flush_failed(error);
    }
}

/// Executes a group in one transaction and commits it.
fn write(
    conn: &Connection,
    batch: &mut Batch<'_>,
    operations: Vec<Operation>,
) -> std::result::Result<Vec<Output>, StoreError> {
    let transaction = Transaction::begin(conn).map_err(|e| store_error(&e))?;
    let outputs = operations
        .into_iter()
        .map(|operation| execute(&transaction, batch, operation))
        .collect::<Result<_>>()
        .map_err(|e| store_error(&e))?;
    // The one fsync of the group. Before it, no caller gets an answer; after it, no answer can be
    // lost.
    transaction.commit_changes().map_err(|e| store_error(&e))?;
    Ok(outputs)
}

fn execute(
    transaction: &Transaction<'_>,
    batch: &mut Batch<'_>,
    operation: Operation,
) -> Result<Output> {
    Ok(match operation {
        Operation::Accept(deliveries) => {
            let results = deliveries.iter().map(|d| accept::accept(transaction, batch, d));
            Output::Accepted(results.collect::<Result<_>>()?)
        }
        Operation::Claim(claim) => Output::Jobs(claim::claim(transaction, batch, &claim)?),
        Operation::Settle(outcomes) => {
            let results = outcomes.into_iter().map(|o| settle::settle(transaction, batch, o));
            Output::Settled(results.collect::<Result<_>>()?)
        }
        Operation::Extend(leases, until) => Output::Settled(settle::extend(batch, &leases, until)),
        Operation::Purge(purge) => Output::Count(purge::purge(transaction, batch, &purge)?),
        Operation::Replay(now, jobs) => {
            Output::Count(replay::replay(transaction, batch, now, jobs)?)
        }
        Operation::SaveRetentionState(state) => {
            retention::write_state(transaction, state)?;
            Output::Done
        }
        // A row that changes each time: an unchanged row would not be written, and nothing would be
        // proven.
        Operation::Probe => {
            transaction.execute(
                "insert into meta (name, value, sum) values ('probes', 1, checksum('probes', 1))
                 on conflict do update set value = value + 1, sum = checksum(name, value + 1)",
                [],
            )?;
            Output::Done
        }
        Operation::Close => Output::Done,
    })
}

#[cfg(test)]
mod tests;
