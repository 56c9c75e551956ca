//! The store as others see it: puts work into the writer's queue, and reads beside it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use hookward_core::store::{
    Acceptance, Browse, Claim, Cursor, Depth, EventDetail, EventPage, Filter, Job, JobOutcome,
    Lease, NewDelivery, OpenError, Purge, ReplayJob, RouteDepth, Settled, Store, StoreError,
};
use hookward_core::{EventId, Timestamp};
use tokio::sync::oneshot;

use crate::browse;
use crate::probe::Probe;
use crate::queue::Counts;
use crate::read_pool::Readers;
use crate::writer::{Answer, Command, NEVER, Shared, Work, Writer};

/// So much work may wait for the writer. Beyond that senders are told to come back, at once: an
/// answer that comes after their timeout is worth nothing.
const QUEUE: usize = 4096;

/// Why nothing more can be had from a store whose writer panicked.
const ENDED: &str = "its writing thread ended";

/// A store in one SQLite file.
#[derive(Debug)]
pub struct SqliteStore {
    writer: SyncSender<Command>,
    readers: Readers,
    shared: Arc<Shared>,
    counts: Counts,
    probe: Probe,
    closed: AtomicBool,
}

impl SqliteStore {
    /// Opens the file, creating it where there is none. Leases of a former owner are void from
    /// `now` on.
    pub async fn open(path: PathBuf, now: Timestamp) -> Result<Self, OpenError> {
        let opening = tokio::task::spawn_blocking(move || crate::open::open(&path, now));
        let (writer, readers) =
            opening.await.map_err(|e| OpenError(format!("opening the store failed: {e}")))??;
        Self::start(writer, readers)
    }

    fn start(writer: Writer, readers: Vec<rusqlite::Connection>) -> Result<Self, OpenError> {
        let (shared, counts) = (writer.shared.clone(), writer.queue.counts.clone());
        let (work, asked) = sync_channel(QUEUE);
        std::thread::Builder::new()
            .name("hookward-sqlite".to_owned())
            .spawn(move || {
                let shared = writer.shared.clone();
                // What it knew by heart is gone with it. Whoever waits hears that from `gone`; this is
                // for those who look whether all is well.
                if catch_unwind(AssertUnwindSafe(|| writer.run(&asked))).is_err() {
                    let trouble = StoreError::Failed(ENDED.to_owned());
                    *shared.trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some(trouble);
                }
            })
            .map_err(|e| OpenError(format!("the store's thread cannot start: {e}")))?;
        let readers = Readers::new(readers);
        let (probe, closed) = (Probe::default(), AtomicBool::new(false));
        Ok(Self { writer: work, readers, shared, counts, probe, closed })
    }

    async fn ask(&self, work: Work) -> Result<Answer, StoreError> {
        let (reply, answer) = oneshot::channel();
        match self.writer.try_send(Command { work, reply }) {
            Ok(()) => answer.await.unwrap_or_else(|_| Err(self.gone())),
            Err(TrySendError::Full(_)) => {
                Err(StoreError::Unavailable(format!("{QUEUE} requests wait for it")))
            }
            Err(TrySendError::Disconnected(_)) => Err(self.gone()),
        }
    }

    /// Why the writer does not answer.
    fn gone(&self) -> StoreError {
        if self.closed.load(Ordering::Acquire) {
            StoreError::Closed
        } else {
            StoreError::Failed(ENDED.to_owned())
        }
    }

    fn trouble(&self) -> Option<StoreError> {
        self.shared.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The writer answers each kind of work with the kind of answer that belongs to it.
macro_rules! expect {
    ($answer:expr, $kind:ident) => {
        match $answer {
            Answer::$kind(it) => Ok(it),
            other => Err(StoreError::Unavailable(format!("it answered {other:?}"))),
        }
    };
}

#[async_trait]
impl Store for SqliteStore {
    async fn accept(&self, deliveries: Vec<NewDelivery>) -> Result<Vec<Acceptance>, StoreError> {
        expect!(self.ask(Work::Accept(deliveries)).await?, Accepted)
    }

    async fn claim(&self, want: Claim) -> Result<Vec<Job>, StoreError> {
        expect!(self.ask(Work::Claim(want)).await?, Jobs)
    }

    async fn settle(&self, outcomes: Vec<JobOutcome>) -> Result<Vec<Settled>, StoreError> {
        expect!(self.ask(Work::Settle(outcomes)).await?, Settled)
    }

    async fn extend(
        &self,
        leases: Vec<Lease>,
        until: Timestamp,
    ) -> Result<Vec<Settled>, StoreError> {
        expect!(self.ask(Work::Extend(leases, until)).await?, Settled)
    }

    async fn purge(&self, what: Purge) -> Result<u64, StoreError> {
        expect!(self.ask(Work::Purge(what)).await?, Count)
    }

    async fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        if self.closed.load(Ordering::Acquire) {
            return Err(StoreError::Closed);
        }
        let at = self.shared.next_due.load(Ordering::Acquire);
        Ok((at != NEVER).then(|| Timestamp::from_millis(at)))
    }

    async fn depth(&self) -> Result<Depth, StoreError> {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let routes = counts.iter().filter(|(_, counts)| **counts != (0, 0));
        let routes = routes.map(|(route, (open, dead))| RouteDepth {
            route: route.clone(),
            open: *open,
            dead: *dead,
        });
        let routes = routes.collect();
        let oldest = self.readers.read(move |conn| browse::oldest(conn, &counts)).await?;
        Ok(Depth { routes, oldest })
    }

    async fn check(&self) -> Result<(), StoreError> {
        if self.closed.load(Ordering::Acquire) {
            return Err(StoreError::Closed);
        }
        match self.trouble() {
            None => Ok(()),
            Some(error @ StoreError::Failed(_)) => Err(error),
            // Nobody may be sending any more, so look whether it works again.
            Some(_) => self.probe.share(async { self.ask(Work::Probe).await.map(|_| ()) }).await,
        }
    }

    async fn close(&self) {
        if self.closed.swap(true, Ordering::AcqRel) {
            return;
        }
        self.readers.close().await;
        let (reply, answer) = oneshot::channel();
        let mut command = Command { work: Work::Close, reply };
        while let Err(TrySendError::Full(back)) = self.writer.try_send(command) {
            command = back;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let _ = answer.await;
    }

    fn browse(&self) -> Option<&dyn Browse> {
        Some(self)
    }
}

#[async_trait]
impl Browse for SqliteStore {
    async fn list(
        &self,
        filter: &Filter,
        limit: usize,
        after: Option<Cursor>,
    ) -> Result<EventPage, StoreError> {
        let filter = filter.clone();
        self.readers.read(move |conn| browse::list(conn, &filter, limit, after)).await
    }

    async fn show(&self, id: EventId) -> Result<Option<EventDetail>, StoreError> {
        self.readers.read(move |conn| browse::show(conn, id)).await
    }

    async fn find(&self, event_id: &str, limit: usize) -> Result<Vec<EventId>, StoreError> {
        let event_id = event_id.to_owned();
        self.readers.read(move |conn| browse::find(conn, &event_id, limit)).await
    }

    async fn replay(&self, now: Timestamp, jobs: Vec<ReplayJob>) -> Result<usize, StoreError> {
        let made = expect!(self.ask(Work::Replay(now, jobs)).await?, Count)?;
        Ok(usize::try_from(made).unwrap_or(usize::MAX))
    }
}

#[cfg(test)]
mod tests;
