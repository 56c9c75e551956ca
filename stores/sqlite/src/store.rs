//! The store as the engine sees it: sends operations to the writer thread, and reads beside it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use hookward_core::store::{
    Acceptance, Browse, ClaimRequest, EventDetail, EventFilter, EventPage, Job, JobOutcome, Lease,
    NewDelivery, OpenError, PageCursor, PurgeRequest, QueueDepth, ReplayJob, RetentionState,
    RouteDepth, Settled, Store, StoreError, StorePolicy,
};
use hookward_core::{EventId, Timestamp};
use tokio::sync::oneshot;

use crate::browse;
use crate::command::{Command, Operation, Output, Status};
use crate::file_identity::FileIdentity;
use crate::probe::Probe;
use crate::queue::Counts;
use crate::read_pool::ReadPool;
use crate::retention;
use crate::writer::Writer;

/// Commands that may wait for the writer. Further ones get an error immediately: an answer that
/// comes after a sender's timeout is worth nothing, and the waiting ones hold their bodies in
/// memory.
const MAX_WAITING_COMMANDS: usize = 4096;

/// Pause between two attempts to queue the command that closes the store.
const CLOSE_RETRY_PAUSE: Duration = Duration::from_millis(1);

/// Error of a store whose writer thread panicked.
const WRITER_ENDED: &str = "its writer thread ended";

/// A store in one SQLite file.
#[derive(Debug)]
pub struct SqliteStore {
    commands: SyncSender<Command>,
    read_pool: ReadPool,
    status: Arc<Status>,
    identity: Arc<FileIdentity>,
    counts: Counts,
    probe: Probe,
    closed: AtomicBool,
}

impl SqliteStore {
    /// Opens the file at `path`, or creates it. The leases of a former owner are void from `now`
    /// on. The store enforces the limits of `policy`; the engine's are
    /// `hookward_engine::STORE_POLICY`.
    ///
    /// # Errors
    ///
    /// Another process has the store open; the file is not a store, has a newer format or is
    /// damaged; its file system cannot make a commit durable. The message says what to do.
    pub async fn open(
        path: PathBuf,
        now: Timestamp,
        policy: StorePolicy,
    ) -> Result<Self, OpenError> {
        // Opening reads the log and may migrate: seconds on a large file.
        let opening = tokio::task::spawn_blocking(move || crate::open::open(&path, now, policy));
        let (writer, readers) = opening
            .await
            .map_err(|e| OpenError::new(format!("opening the store failed: {e}")))??;
        Self::start(writer, readers)
    }

    /// Starts the writer thread of an open file.
    fn start(writer: Writer, readers: Vec<rusqlite::Connection>) -> Result<Self, OpenError> {
        let (status, counts) = (writer.status(), writer.counts());
        let identity = writer.identity();
        // Bounded: an unbounded channel would hold the bodies of all that a slow disk has not taken
        // yet.
        let (commands, waiting) = sync_channel(MAX_WAITING_COMMANDS);
        std::thread::Builder::new()
            .name("hookward-sqlite".to_owned())
            .spawn(move || {
                let status = writer.status();
                // In-memory state is lost with the thread. Waiting callers get their error from
                // `writer_gone`; this one is for health checks.
                if catch_unwind(AssertUnwindSafe(|| writer.run(&waiting))).is_err() {
                    let problem = StoreError::Failed(WRITER_ENDED.to_owned());
                    status.set_health_problem(Some(problem));
                }
            })
            .map_err(|e| OpenError::new(format!("the store's thread cannot start: {e}")))?;
        let read_pool = ReadPool::new(readers);
        let (probe, closed) = (Probe::default(), AtomicBool::new(false));
        Ok(Self { commands, read_pool, status, identity, counts, probe, closed })
    }

    /// Sends an operation to the writer and waits for its output.
    async fn execute(&self, operation: Operation) -> Result<Output, StoreError> {
        let (reply, output) = oneshot::channel();
        // Never blocks: this runs on a thread of the runtime.
        match self.commands.try_send(Command { operation, reply }) {
            Ok(()) => output.await.unwrap_or_else(|_| Err(self.writer_gone())),
            Err(TrySendError::Full(_)) => {
                Err(StoreError::Unavailable(format!("{MAX_WAITING_COMMANDS} requests wait for it")))
            }
            Err(TrySendError::Disconnected(_)) => Err(self.writer_gone()),
        }
    }

    /// Why the writer thread does not answer.
    fn writer_gone(&self) -> StoreError {
        if self.closed.load(Ordering::Acquire) {
            StoreError::Closed
        } else {
            StoreError::Failed(WRITER_ENDED.to_owned())
        }
    }
}

/// The payload of an output whose kind belongs to the operation that was sent.
macro_rules! expect {
    ($output:expr, Done) => {
        match $output {
            Output::Done => Ok(()),
            other => Err(StoreError::Unavailable(format!("the writer returned {other:?}"))),
        }
    };
    ($output:expr, $kind:ident) => {
        match $output {
            Output::$kind(payload) => Ok(payload),
            other => Err(StoreError::Unavailable(format!("the writer returned {other:?}"))),
        }
    };
}

#[async_trait]
impl Store for SqliteStore {
    async fn accept(&self, deliveries: Vec<NewDelivery>) -> Result<Vec<Acceptance>, StoreError> {
        expect!(self.execute(Operation::Accept(deliveries)).await?, Accepted)
    }

    async fn claim(&self, claim: ClaimRequest) -> Result<Vec<Job>, StoreError> {
        expect!(self.execute(Operation::Claim(claim)).await?, Jobs)
    }

    async fn settle(&self, outcomes: Vec<JobOutcome>) -> Result<Vec<Settled>, StoreError> {
        expect!(self.execute(Operation::Settle(outcomes)).await?, Settled)
    }

    async fn extend(
        &self,
        leases: Vec<Lease>,
        until: Timestamp,
    ) -> Result<Vec<Settled>, StoreError> {
        expect!(self.execute(Operation::Extend(leases, until)).await?, Settled)
    }

    async fn purge(&self, purge: PurgeRequest) -> Result<u64, StoreError> {
        expect!(self.execute(Operation::Purge(purge)).await?, Count)
    }

    async fn retention_state(&self) -> Result<Option<RetentionState>, StoreError> {
        self.read_pool.read(retention::read_state).await
    }

    async fn save_retention_state(&self, state: RetentionState) -> Result<(), StoreError> {
        expect!(self.execute(Operation::SaveRetentionState(state)).await?, Done)
    }

    async fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        if self.closed.load(Ordering::Acquire) {
            return Err(StoreError::Closed);
        }
        Ok(self.status.next_due())
    }

    async fn depth(&self) -> Result<QueueDepth, StoreError> {
        // A copy, so that the writer does not wait for the query below.
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let routes = counts.iter().filter(|(_, counts)| **counts != (0, 0));
        let routes =
            routes.map(|(route, (open, dead))| RouteDepth::new(route.clone(), *open, *dead));
        let routes = routes.collect();
        let oldest = self.read_pool.read(move |conn| browse::oldest_waiting(conn, &counts)).await?;
        Ok(QueueDepth::new(routes, oldest))
    }

    async fn check(&self) -> Result<(), StoreError> {
        if self.closed.load(Ordering::Acquire) {
            return Err(StoreError::Closed);
        }
        match self.status.health_problem() {
            // Without deliveries nothing is committed, and nothing else would notice.
            None => self.identity.check(),
            Some(error @ StoreError::Failed(_)) => Err(error),
            // A load balancer that sees the problem sends no deliveries, so no commit would ever
            // clear it: only a probe finds out that the store works again.
            Some(_) => {
                let probe = async { self.execute(Operation::Probe).await.map(|_| ()) };
                self.probe.run_shared(probe).await
            }
        }
    }

    async fn close(&self) {
        // A second caller of `close` returns immediately; the first one waits for the thread.
        if self.closed.swap(true, Ordering::AcqRel) {
            return;
        }
        // Readers first: the last connection to close is the writer's, which can then remove the
        // log.
        self.read_pool.close().await;
        let (reply, closed) = oneshot::channel();
        let mut command = Command { operation: Operation::Close, reply };
        while let Err(TrySendError::Full(unsent)) = self.commands.try_send(command) {
            command = unsent;
            tokio::time::sleep(CLOSE_RETRY_PAUSE).await;
        }
        // The thread answers once the file and its lock are free; an error means that it ended
        // before.
        let _ = closed.await;
    }

    fn browse(&self) -> Option<&dyn Browse> {
        Some(self)
    }
}

#[async_trait]
impl Browse for SqliteStore {
    async fn list(
        &self,
        filter: &EventFilter,
        limit: usize,
        after: Option<PageCursor>,
    ) -> Result<EventPage, StoreError> {
        let filter = filter.clone();
        self.read_pool.read(move |conn| browse::list(conn, &filter, limit, after)).await
    }

    async fn show(&self, id: EventId) -> Result<Option<EventDetail>, StoreError> {
        self.read_pool.read(move |conn| browse::show(conn, id)).await
    }

    async fn find(&self, event_id: &str, limit: usize) -> Result<Vec<EventId>, StoreError> {
        let event_id = event_id.to_owned();
        self.read_pool.read(move |conn| browse::find(conn, &event_id, limit)).await
    }

    async fn replay(&self, now: Timestamp, jobs: Vec<ReplayJob>) -> Result<usize, StoreError> {
        let made = expect!(self.execute(Operation::Replay(now, jobs)).await?, Count)?;
        Ok(usize::try_from(made).unwrap_or(usize::MAX))
    }
}

#[cfg(test)]
mod tests;
