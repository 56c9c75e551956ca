//! The one thread that writes. It takes all that is queued into one transaction and answers
//! everyone after its commit: one fsync for many. A failure is everyone's failure.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc::{Receiver, TryRecvError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use hookward_core::Timestamp;
use hookward_core::store::{
    Acceptance, Claim, Job, JobId, JobOutcome, Lease, NewDelivery, Purge, QueuedJob, ReplayJob,
    Settled, Settlement, StoreError,
};
use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::disk_space::Room;
use crate::error::store_error;
use crate::interner::Names;
use crate::lock::Lock;
use crate::purge::PurgeCursor;
use crate::queue::{CacheUpdate, Key, Queue};
use crate::telemetry;
use crate::write_behind_index::Late;

/// So many commands share a commit.
const GROUP: usize = 512;

/// Nothing is due.
pub(crate) const NEVER: i64 = i64::MAX;

/// What the writer is asked to do.
#[derive(Debug)]
pub(crate) enum Work {
    Accept(Vec<NewDelivery>),
    Claim(Claim),
    Settle(Vec<JobOutcome>),
    Extend(Vec<Lease>, Timestamp),
    Purge(Purge),
    Replay(Timestamp, Vec<ReplayJob>),
    /// Write something small, to see whether that works again.
    Probe,
    /// Finish and let go.
    Close,
}

impl Work {
    /// The leases under which a worker speaks.
    pub(crate) fn leases(&self) -> Vec<Lease> {
        match self {
            Self::Settle(outcomes) => outcomes.iter().map(|outcome| outcome.lease).collect(),
            Self::Extend(leases, _) => leases.clone(),
            _ => Vec::new(),
        }
    }

    /// Whether the store holds more after it. Looking whether it works again is among them: it does
    /// not, for those who send.
    fn grows(&self) -> bool {
        matches!(self, Self::Accept(_) | Self::Replay(..) | Self::Probe)
    }

    /// About so much more, in bytes.
    fn bytes(&self) -> u64 {
        let Self::Accept(deliveries) = self else { return 0 };
        let each = deliveries.iter().map(|d| d.body.bytes().len() + 1024 * d.events.len());
        each.sum::<usize>() as u64
    }
}

/// What came of it; each kind of work has its own.
#[derive(Debug)]
pub(crate) enum Answer {
    Accepted(Vec<Acceptance>),
    Jobs(Vec<Job>),
    Settled(Vec<Settled>),
    Count(u64),
    Nothing,
}

pub(crate) type Reply = oneshot::Sender<Result<Answer, StoreError>>;

/// Work, and who waits for it.
#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) work: Work,
    pub(crate) reply: Reply,
}

/// What others may look at without asking the writer.
#[derive(Debug)]
pub(crate) struct Shared {
    /// In milliseconds, or [`NEVER`].
    pub(crate) next_due: AtomicI64,
    /// Why the last group failed, until one succeeds.
    pub(crate) trouble: Mutex<Option<StoreError>>,
}

#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) conn: Connection,
    pub(crate) queue: Queue,
    pub(crate) names: Names,
    pub(crate) shared: Arc<Shared>,
    pub(crate) next_seq: i64,
    pub(crate) next_token: i64,
    pub(crate) late: Late,
    /// Where the last purge stopped.
    pub(crate) purged: PurgeCursor,
    /// What the memory learns if this group is committed.
    pub(crate) effects: Vec<CacheUpdate>,
    /// What is taken back if it is not.
    pub(crate) claimed: Vec<JobId>,
    /// Jobs that cannot be handed out, because the disk changed them; likewise.
    pub(crate) damaged: Vec<QueuedJob<Key>>,
    /// What the writer asks of itself.
    backlog: VecDeque<Command>,
    pub(crate) poison: Option<StoreError>,
    pub(crate) room: Room,
    _lock: Lock,
}

impl Writer {
    /// Recovers what a former owner left, at the moment `now`.
    pub(crate) fn new(
        conn: Connection,
        lock: Lock,
        room: Room,
        now: Timestamp,
    ) -> rusqlite::Result<Self> {
        let names = Names::read(&conn)?;
        let shared = Shared { next_due: AtomicI64::new(NEVER), trouble: Mutex::new(None) };
        let mut writer = Self {
            conn,
            queue: Queue::default(),
            names,
            shared: Arc::new(shared),
            next_seq: 1,
            next_token: 1,
            late: Late::default(),
            purged: PurgeCursor::default(),
            effects: Vec::new(),
            claimed: Vec::new(),
            damaged: Vec::new(),
            backlog: VecDeque::new(),
            poison: None,
            room,
            _lock: lock,
        };
        writer.recover(now)?;
        writer.room.begin();
        writer.publish();
        Ok(writer)
    }

    /// Works until it is closed, or until nobody can ask any more.
    pub(crate) fn run(mut self, asked: &Receiver<Command>) {
        let mut closing = None;
        while closing.is_none() {
            let first = match self.backlog.pop_front() {
                Some(command) => command,
                None if self.is_indexing() => match asked.try_recv() {
                    Ok(command) => command,
                    Err(TryRecvError::Empty) => {
                        self.index();
                        continue;
                    }
                    Err(TryRecvError::Disconnected) => break,
                },
                None => match asked.recv() {
                    Ok(command) => command,
                    Err(_) => break,
                },
            };
            let mut group = Vec::with_capacity(16);
            let mut next = Some(first);
            while let Some(command) = next.take() {
                if matches!(command.work, Work::Close) {
                    closing = Some(command.reply);
                    break;
                }
                group.push(command);
                if group.len() < GROUP {
                    next = self.backlog.pop_front().or_else(|| asked.try_recv().ok());
                }
            }
            self.group(group);
            self.index();
        }
        // Jobs that were claimed for someone who went away at the end.
        let rest: Vec<_> = self.backlog.drain(..).collect();
        self.group(rest);
        if self.poison.is_none() {
            // What stays in the log is found at the next start; this only saves that work.
            let _ = self.conn.execute_batch("pragma wal_checkpoint(truncate)");
        }
        // The file and the lock are free before anyone hears of it.
        drop(self);
        if let Some(reply) = closing {
            let _ = reply.send(Ok(Answer::Nothing));
        }
    }

    pub(crate) fn group(&mut self, group: Vec<Command>) {
        let coming = group.iter().map(|command| command.work.bytes()).sum();
        let group = match self.room.refusal(coming) {
            None => group,
            Some(error) => self.without_room(group, &error),
        };
        if group.is_empty() {
            return;
        }
        let (work, replies): (Vec<_>, Vec<_>) =
            group.into_iter().map(|command| (command.work, command.reply)).unzip();
        let answers = match &self.poison {
            Some(poison) => Err(poison.clone()),
            None => self.transaction(work).map_err(|e| store_error(&e)),
        };
        match answers {
            Ok(answers) => self.committed(answers, replies),
            Err(error) => self.rolled_back(&error, replies),
        }
    }

    /// Sends away what would make the store grow; the rest, by which it gets things done, stays.
    fn without_room(&self, group: Vec<Command>, error: &StoreError) -> Vec<Command> {
        let (growing, rest) = group.into_iter().partition::<Vec<_>, _>(|c| c.work.grows());
        if self.poison.is_none() {
            self.trouble(Some(error.clone()));
        }
        for command in growing {
            let error = self.poison.as_ref().unwrap_or(error);
            let _ = command.reply.send(Err(error.clone()));
        }
        rest
    }

    /// Everything in one transaction, or nothing.
    fn transaction(&mut self, work: Vec<Work>) -> rusqlite::Result<Vec<Answer>> {
        let latest = work.iter().filter_map(|work| match work {
            Work::Claim(claim) => Some(claim.now),
            _ => None,
        });
        if let Some(now) = latest.max() {
            self.reclaim_expired(now, &work)?;
        }
        self.feed()?;
        let before = self.conn.total_changes();
        self.conn.prepare_cached("begin")?.execute([])?;
        let answers = work.into_iter().map(|work| self.act(work)).collect::<Result<_, _>>()?;
        if self.conn.total_changes() == before {
            // Nothing changed, so there is nothing to make durable.
            self.conn.prepare_cached("rollback")?.execute([])?;
            return Ok(answers);
        }
        self.commit()?;
        Ok(answers)
    }

    pub(crate) fn commit(&self) -> rusqlite::Result<()> {
        let started = Instant::now();
        self.conn.prepare_cached("commit")?.execute([])?;
        telemetry::committed(started.elapsed());
        Ok(())
    }

    fn act(&mut self, work: Work) -> rusqlite::Result<Answer> {
        Ok(match work {
            Work::Accept(deliveries) => {
                let each = deliveries.iter().map(|delivery| self.accept(delivery));
                Answer::Accepted(each.collect::<Result<_, _>>()?)
            }
            Work::Claim(claim) => Answer::Jobs(self.claim(&claim)?),
            Work::Settle(outcomes) => {
                let each = outcomes.into_iter().map(|outcome| self.settle(outcome));
                Answer::Settled(each.collect::<Result<_, _>>()?)
            }
            Work::Extend(leases, until) => Answer::Settled(self.extend(&leases, until)),
            Work::Purge(purge) => Answer::Count(self.purge(purge)?),
            Work::Replay(now, jobs) => Answer::Count(self.replay(now, jobs)?),
            Work::Probe => {
                self.conn.execute(
                    "insert into meta (name, value, sum) values ('probes', 1, checksum('probes', 1))
                     on conflict do update set value = value + 1, sum = checksum(name, value + 1)",
                    [],
                )?;
                Answer::Nothing
            }
            Work::Close => Answer::Nothing,
        })
    }

    fn committed(&mut self, answers: Vec<Answer>, replies: Vec<Reply>) {
        self.names.committed();
        self.late.committed();
        self.claimed.clear();
        for entry in std::mem::take(&mut self.damaged) {
            self.queue.schedule.remove(entry.key);
            self.queue.count(&entry.route, -1, 1);
        }
        for effect in std::mem::take(&mut self.effects) {
            self.queue.apply(effect);
        }
        self.trouble(self.room.low());
        // Whoever gets an answer sees what follows from it.
        self.publish();
        for (reply, answer) in replies.into_iter().zip(answers) {
            if let Err(Ok(Answer::Jobs(jobs))) = reply.send(Ok(answer)) {
                self.give_back(jobs);
            }
        }
    }

    pub(crate) fn rolled_back(&mut self, error: &StoreError, replies: Vec<Reply>) {
        if self.poison.is_none() {
            telemetry::rolled_back(error);
        }
        if !self.conn.is_autocommit() {
            let _ = self.conn.execute_batch("rollback");
        }
        self.effects.clear();
        self.names.rolled_back();
        self.late.rolled_back();
        for job in std::mem::take(&mut self.claimed) {
            self.queue.unclaim(job);
        }
        for entry in std::mem::take(&mut self.damaged) {
            self.queue.schedule.push(entry, Timestamp::default());
        }
        match error {
            StoreError::Failed(_) => self.poison = Some(error.clone()),
            StoreError::Full(_) => self.room.ran_out(),
            _ => {}
        }
        self.trouble(Some(error.clone()));
        self.publish();
        for reply in replies {
            let _ = reply.send(Err(error.clone()));
        }
    }

    /// Whoever asked for these jobs is gone: nobody will run them.
    fn give_back(&mut self, jobs: Vec<Job>) {
        if jobs.is_empty() {
            return;
        }
        let outcomes = jobs.into_iter().map(|job| {
            let own = job.event.body().bytes().clone();
            let body = job.step.is_some().then_some(own);
            let settlement = Settlement::Released { step: job.step, body };
            JobOutcome { lease: job.lease, settlement, attempt: None }
        });
        let work = Work::Settle(outcomes.collect());
        self.backlog.push_back(Command { work, reply: oneshot::channel().0 });
    }

    fn trouble(&self, error: Option<StoreError>) {
        *self.shared.trouble.lock().unwrap_or_else(PoisonError::into_inner) = error;
    }

    fn publish(&self) {
        let next = match (self.queue.schedule.next_due(), self.queue.held.first_end()) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        self.shared.next_due.store(next.map_or(NEVER, Timestamp::as_millis), Ordering::Release);
    }
}

#[cfg(test)]
mod tests;
