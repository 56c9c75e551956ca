//! The whole store: a full disk, a writer that panicked, more jobs than the queue holds.

use std::sync::atomic::AtomicU64;

use hookward_core::Body;
use hookward_core::store::Settlement;
use hookward_testkit::store::{now, with_jobs};

use super::*;
use crate::disk_space::{DiskSpace, FileSystemSpace};

fn unrouted(n: usize) -> NewDelivery {
    let body = Body::new(vec![b'x'; 50_000]);
    with_jobs(&n.to_string(), &[]).with_body(body)
}

/// `max_page_count` simulates a full disk: SQLite returns the same error for both.
#[tokio::test]
async fn a_store_on_a_full_disk_rejects_deliveries_and_recovers_without_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (writer, readers) =
        crate::open::open(&folder.path().join("a.db"), now(), hookward_testkit::store::POLICY)
            .unwrap();
    writer.connection().execute_batch("pragma max_page_count = 300").unwrap();
    let store = SqliteStore::start(writer, readers).unwrap();
    let mut accepted = 0;
    let rejection = loop {
        match store.accept(vec![unrouted(accepted)]).await {
            Ok(_) => accepted += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(rejection, StoreError::Full(_)), "{rejection}");
    assert!(accepted > 10, "{accepted}");
    let before = now().plus(Duration::from_secs(1));
    let purge = PurgeRequest::new(before, before, 5);
    assert_eq!(store.purge(purge).await, Ok(5));
    assert_eq!(store.check().await, Ok(()));
    store.accept(vec![unrouted(accepted)]).await.unwrap();
    store.close().await;
}

/// Accepted work is completed, and deliveries are accepted again without a restart once there is
/// space.
#[tokio::test]
async fn low_disk_space_rejects_deliveries_and_lets_claims_settlements_and_purges_continue() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let (mut writer, readers) =
        crate::open::open(&path, now(), hookward_testkit::store::POLICY).unwrap();
    let free = Arc::new(AtomicU64::new(u64::MAX));
    let left = free.clone();
    let query =
        move || Some(FileSystemSpace { free: left.load(Ordering::Relaxed), total: 1 << 30 });
    writer.set_disk_space(DiskSpace::with_query(&path, Box::new(query)));
    let store = SqliteStore::start(writer, readers).unwrap();
    store.accept((0..3).map(|n| with_jobs(&n.to_string(), &["orders"])).collect()).await.unwrap();

    free.store(1 << 20, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_millis(300)).await;
    let rejection = store.accept(vec![unrouted(9)]).await.unwrap_err();
    assert!(
        matches!(&rejection, StoreError::Full(words) if words.contains("1 MiB")),
        "{rejection}"
    );
    assert_eq!(store.check().await, Err(rejection));
    let lease_until = now().plus(Duration::from_secs(30));
    let claim = ClaimRequest::new(now(), lease_until, vec![("orders".into(), 9)]);
    let jobs = store.claim(claim).await.unwrap();
    assert_eq!(jobs.len(), 3);
    let settlements = [
        Settlement::Done,
        Settlement::Dead { reason: "no".into(), step: None, body: None },
        Settlement::Retry {
            at: now(),
            step: None,
            body: None,
            cause: hookward_core::store::Cause::Error,
        },
    ];
    let outcomes = jobs
        .iter()
        .zip(settlements)
        .map(|(job, settlement)| JobOutcome::new(job.lease, settlement));
    assert_eq!(store.settle(outcomes.collect()).await, Ok(vec![Settled::Applied; 3]));
    let before = now().plus(Duration::from_secs(1));
    let purge = PurgeRequest::new(before, before, 5);
    assert_eq!(store.purge(purge).await, Ok(2));
    assert!(store.check().await.is_err(), "successful commits free no space");

    free.store(1 << 29, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(store.check().await, Ok(()));
    store.accept(vec![unrouted(9)]).await.unwrap();
    store.close().await;
    assert!(!path.with_extension("db.reserve").exists());
}

/// With more jobs than the queue in memory holds, each runs once, and each order key in its order.
#[tokio::test]
async fn jobs_beyond_the_queue_in_memory_run_in_their_order() {
    let folder = tempfile::tempdir().unwrap();
    let (mut writer, readers) =
        crate::open::open(&folder.path().join("a.db"), now(), hookward_testkit::store::POLICY)
            .unwrap();
    writer.memory_mut().queue_mut().set_max_per_route(20);
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
        let jobs = store.claim(ClaimRequest::new(now(), lease_until, slots)).await;
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
        let done = |job: &Job| JobOutcome::new(job.lease, Settlement::Done);
        store.settle(jobs.iter().map(done).collect()).await.unwrap();
        if ran > 50 && replayed.is_none() {
            accept(150, 200).await;
            let again = hookward_core::store::NewJob::new("orders");
            let add = ReplayJob::Add { event: jobs[0].event.id(), job: again };
            replayed = Some(store.replay(now(), vec![add; 30]).await.unwrap());
        }
    }
    assert_eq!((ran, replayed), (230, Some(30)));
    assert!(store.depth().await.unwrap().routes.is_empty());
    store.close().await;
}

/// After a panic of the writer thread, waiting and later callers get an error.
#[tokio::test]
async fn a_store_whose_writer_panicked_is_failed_until_it_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let (mut writer, readers) =
        crate::open::open(&path, now(), hookward_testkit::store::POLICY).unwrap();
    let panics = Arc::new(AtomicBool::new(false));
    let panicking = panics.clone();
    let query = move || {
        assert!(!panicking.load(Ordering::SeqCst), "asked for by the test");
        Some(FileSystemSpace { free: u64::MAX, total: 1 << 30 })
    };
    writer.set_disk_space(DiskSpace::with_query(&path, Box::new(query)));
    panics.store(true, Ordering::SeqCst);
    // The last poll of the disk is valid for an interval.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let store = SqliteStore::start(writer, readers).unwrap();
    let failed = StoreError::Failed(WRITER_ENDED.to_owned());
    for _ in 0..2 {
        assert_eq!(store.accept(vec![unrouted(0)]).await.unwrap_err(), failed);
    }
    while store.check().await != Err(failed.clone()) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    drop(store);
    let store = SqliteStore::open(path, now(), hookward_testkit::store::POLICY).await.unwrap();
    store.accept(vec![unrouted(0)]).await.unwrap();
    store.close().await;
}

/// Jobs that are read from the table later are due as early as the queued ones.
#[tokio::test]
async fn jobs_beyond_the_queue_in_memory_are_due_after_the_clock_was_set_back() {
    let folder = tempfile::tempdir().unwrap();
    let ahead = now().plus(Duration::from_secs(6 * 3600));
    let (mut writer, readers) =
        crate::open::open(&folder.path().join("a.db"), ahead, hookward_testkit::store::POLICY)
            .unwrap();
    writer.memory_mut().queue_mut().set_max_per_route(20);
    let store = SqliteStore::start(writer, readers).unwrap();
    let early = |n: usize| with_jobs(&n.to_string(), &["orders"]).with_received_at(ahead);
    store.accept((0..50).map(early).collect()).await.unwrap();
    let mut ran = 0;
    for _ in 0..5 {
        let lease_until = now().plus(Duration::from_secs(30));
        let slots = vec![("orders".into(), 10)];
        let claim = ClaimRequest::new(now(), lease_until, slots);
        let jobs = store.claim(claim).await.unwrap();
        ran += jobs.len();
        let done = |job: &Job| JobOutcome::new(job.lease, Settlement::Done);
        store.settle(jobs.iter().map(done).collect()).await.unwrap();
    }
    assert_eq!(ran, 50);
    store.close().await;
}

/// After a failed sync the store does not know what is on the disk, until it is opened again.
#[tokio::test]
async fn a_failed_store_stays_failed_until_it_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let (mut writer, readers) =
        crate::open::open(&path, now(), hookward_testkit::store::POLICY).unwrap();
    writer.fail(&StoreError::Failed("the disk".to_owned()));
    let store = SqliteStore::start(writer, readers).unwrap();
    for _ in 0..2 {
        let rejection = store.accept(vec![unrouted(0)]).await.unwrap_err();
        assert_eq!(rejection, StoreError::Failed("the disk".to_owned()));
        assert_eq!(store.check().await, Err(rejection));
    }
    store.close().await;
    let store = SqliteStore::open(path, now(), hookward_testkit::store::POLICY).await.unwrap();
    store.accept(vec![unrouted(0)]).await.unwrap();
    store.close().await;
}
