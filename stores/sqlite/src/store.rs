//! The store as others see it: puts work into the writer's queue, and reads beside it.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use hookward_core::store::{
    Acceptance, Browse, Claim, Cursor, Depth, EventDetail, EventPage, Filter, Job, Lease,
    NewDelivery, OpenError, Outcome, Purge, ReplayJob, RouteDepth, Settled, Store, StoreError,
};
use hookward_core::{EventId, Timestamp};
use tokio::sync::oneshot;

use crate::browse;
use crate::probe::Probe;
use crate::queue::Counts;
use crate::readers::Readers;
use crate::writer::{Answer, Command, NEVER, Shared, Work, Writer};

/// So much work may wait for the writer. Beyond that senders are told to come back, at once: an
/// answer that comes after their timeout is worth nothing.
const QUEUE: usize = 4096;

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
            .spawn(move || writer.run(&asked))
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
            StoreError::Poisoned("its writing thread ended".to_owned())
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

    async fn settle(&self, outcomes: Vec<Outcome>) -> Result<Vec<Settled>, StoreError> {
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
            Some(error @ StoreError::Poisoned(_)) => Err(error),
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
mod tests {
    use std::sync::atomic::AtomicU64;

    use hookward_core::Body;
    use hookward_core::store::Settlement;
    use hookward_testkit::store::{now, with_jobs};

    use super::*;
    use crate::room::{Room, Space};

    fn unwanted(n: usize) -> NewDelivery {
        let body = Body::new(vec![b'x'; 50_000]);
        NewDelivery { body, ..with_jobs(&n.to_string(), &[]) }
    }

    /// SQLite says the same of a file that may not grow as of a disk that is full.
    #[tokio::test]
    async fn a_full_store_refuses_and_recovers_without_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let (writer, readers) = crate::open::open(&folder.path().join("a.db"), now()).unwrap();
        writer.conn.execute_batch("pragma max_page_count = 300").unwrap();
        let store = SqliteStore::start(writer, readers).unwrap();
        let mut taken = 0;
        let refusal = loop {
            match store.accept(vec![unwanted(taken)]).await {
                Ok(_) => taken += 1,
                Err(error) => break error,
            }
        };
        assert!(matches!(refusal, StoreError::Full(_)), "{refusal}");
        assert!(taken > 10, "{taken}");
        let before = now().plus(Duration::from_secs(1));
        let purge = Purge { events_before: before, dead_before: before, limit: 5 };
        assert_eq!(store.purge(purge).await, Ok(5));
        assert_eq!(store.check().await, Ok(()));
        store.accept(vec![unwanted(taken)]).await.unwrap();
        store.close().await;
    }

    /// What was begun is finished, and taking in goes on by itself once there is room.
    #[tokio::test]
    async fn on_a_disk_with_little_room_work_goes_on_and_nothing_new_comes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let (mut writer, readers) = crate::open::open(&path, now()).unwrap();
        let free = Arc::new(AtomicU64::new(u64::MAX));
        let left = free.clone();
        let ask = move || Some(Space { free: left.load(Ordering::Relaxed), total: 1 << 30 });
        writer.room = Room::asking(&path, Box::new(ask));
        let store = SqliteStore::start(writer, readers).unwrap();
        store
            .accept((0..3).map(|n| with_jobs(&n.to_string(), &["orders"])).collect())
            .await
            .unwrap();

        free.store(1 << 20, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(300)).await;
        let refusal = store.accept(vec![unwanted(9)]).await.unwrap_err();
        assert!(
            matches!(&refusal, StoreError::Full(words) if words.contains("1 MiB")),
            "{refusal}"
        );
        assert_eq!(store.check().await, Err(refusal));
        let lease_until = now().plus(Duration::from_secs(30));
        let want = Claim { now: now(), lease_until, slots: vec![("orders".into(), 9)], unknown: 0 };
        let jobs = store.claim(want).await.unwrap();
        assert_eq!(jobs.len(), 3);
        let ends = [
            Settlement::Done,
            Settlement::Dead { reason: "no".into(), step: None, body: None },
            Settlement::Retry { at: now(), step: None, body: None, cause: "error" },
        ];
        let ends = jobs.iter().zip(ends).map(|(job, settlement)| Outcome {
            lease: job.lease,
            settlement,
            attempt: None,
        });
        assert_eq!(store.settle(ends.collect()).await, Ok(vec![Settled::Applied; 3]));
        let before = now().plus(Duration::from_secs(1));
        let purge = Purge { events_before: before, dead_before: before, limit: 5 };
        assert_eq!(store.purge(purge).await, Ok(2));
        assert!(store.check().await.is_err(), "what went well makes no room");

        free.store(1 << 29, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(store.check().await, Ok(()));
        store.accept(vec![unwanted(9)]).await.unwrap();
        store.close().await;
        assert!(!path.with_extension("db.reserve").exists());
    }

    /// More jobs than the queue in memory holds: all run, each once, each order key in its order.
    #[tokio::test]
    async fn jobs_beyond_the_queue_in_memory_run_in_their_order() {
        let folder = tempfile::tempdir().unwrap();
        let (mut writer, readers) = crate::open::open(&folder.path().join("a.db"), now()).unwrap();
        writer.queue.cap = 20;
        let store = SqliteStore::start(writer, readers).unwrap();
        let accept = async |from: usize, to: usize| {
            let deliveries = (from..to).map(|n| {
                let mut delivery = with_jobs(&n.to_string(), &["orders"]);
                let key = Some(format!("{}", n % 3));
                delivery.events[0].jobs[0].order_key = key.filter(|_| !n.is_multiple_of(4));
                delivery
            });
            store.accept(deliveries.collect()).await.unwrap();
        };
        accept(0, 150).await;
        let (mut ran, mut last, mut replayed) = (0, [0; 3], None);
        loop {
            let lease_until = now().plus(Duration::from_secs(30));
            let slots = vec![("orders".into(), 7)];
            let jobs = store.claim(Claim { now: now(), lease_until, slots, unknown: 0 }).await;
            let jobs = jobs.unwrap();
            if jobs.is_empty() {
                break;
            }
            for job in &jobs {
                let n: usize = job.event.event_id().unwrap().parse().unwrap();
                if !n.is_multiple_of(4) && !job.replay {
                    assert!(last[n % 3] < n, "{n} after {}", last[n % 3]);
                    last[n % 3] = n;
                }
            }
            ran += jobs.len();
            let done = |job: &Job| Outcome {
                lease: job.lease,
                settlement: Settlement::Done,
                attempt: None,
            };
            store.settle(jobs.iter().map(done).collect()).await.unwrap();
            if ran > 50 && replayed.is_none() {
                accept(150, 200).await;
                let again = hookward_core::store::NewJob {
                    route: "orders".into(),
                    order_key: None,
                    config_hash: 0,
                };
                let add = ReplayJob::Add { event: jobs[0].event.id(), job: again };
                replayed = Some(store.replay(now(), vec![add; 30]).await.unwrap());
            }
        }
        assert_eq!((ran, replayed), (230, Some(30)));
        assert!(store.depth().await.unwrap().routes.is_empty());
        store.close().await;
    }

    /// Those that are read from the table later are as little held up as the others.
    #[tokio::test]
    async fn no_job_beyond_the_queue_in_memory_stalls_after_the_clock_went_back() {
        let folder = tempfile::tempdir().unwrap();
        let ahead = now().plus(Duration::from_secs(6 * 3600));
        let (mut writer, readers) = crate::open::open(&folder.path().join("a.db"), ahead).unwrap();
        writer.queue.cap = 20;
        let store = SqliteStore::start(writer, readers).unwrap();
        let early =
            |n: usize| NewDelivery { received_at: ahead, ..with_jobs(&n.to_string(), &["orders"]) };
        store.accept((0..50).map(early).collect()).await.unwrap();
        let mut ran = 0;
        for _ in 0..5 {
            let lease_until = now().plus(Duration::from_secs(30));
            let slots = vec![("orders".into(), 10)];
            let want = Claim { now: now(), lease_until, slots, unknown: 0 };
            let jobs = store.claim(want).await.unwrap();
            ran += jobs.len();
            let done = |job: &Job| Outcome {
                lease: job.lease,
                settlement: Settlement::Done,
                attempt: None,
            };
            store.settle(jobs.iter().map(done).collect()).await.unwrap();
        }
        assert_eq!(ran, 50);
        store.close().await;
    }

    /// Nothing that a store says after a failed sync can be trusted, until it is opened anew.
    #[tokio::test]
    async fn a_poisoned_store_stays_so_until_it_is_opened_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let (mut writer, readers) = crate::open::open(&path, now()).unwrap();
        writer.rolled_back(&StoreError::Poisoned("the disk".to_owned()), Vec::new());
        let store = SqliteStore::start(writer, readers).unwrap();
        for _ in 0..2 {
            let refusal = store.accept(vec![unwanted(0)]).await.unwrap_err();
            assert_eq!(refusal, StoreError::Poisoned("the disk".to_owned()));
            assert_eq!(store.check().await, Err(refusal));
        }
        store.close().await;
        let store = SqliteStore::open(path, now()).await.unwrap();
        store.accept(vec![unwanted(0)]).await.unwrap();
        store.close().await;
    }
}
