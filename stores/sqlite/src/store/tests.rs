//! The store as a whole: a disk without room, a writer that is gone, more jobs than the queue holds.

use std::sync::atomic::AtomicU64;

use hookward_core::Body;
use hookward_core::store::Settlement;
use hookward_testkit::store::{now, with_jobs};

use super::*;
use crate::disk_space::{Room, Space};

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
    store.accept((0..3).map(|n| with_jobs(&n.to_string(), &["orders"])).collect()).await.unwrap();

    free.store(1 << 20, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_millis(300)).await;
    let refusal = store.accept(vec![unwanted(9)]).await.unwrap_err();
    assert!(matches!(&refusal, StoreError::Full(words) if words.contains("1 MiB")), "{refusal}");
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
    let ends = jobs.iter().zip(ends).map(|(job, settlement)| JobOutcome {
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
        let done = |job: &Job| JobOutcome {
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

/// A panic of the one that writes: everyone hears of it, at once and from then on.
#[tokio::test]
async fn a_store_whose_writer_panicked_is_lost_until_it_is_opened_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let (mut writer, readers) = crate::open::open(&path, now()).unwrap();
    let breaks = Arc::new(AtomicBool::new(false));
    let broken = breaks.clone();
    let ask = move || {
        assert!(!broken.load(Ordering::SeqCst), "asked for by the test");
        Some(Space { free: u64::MAX, total: 1 << 30 })
    };
    writer.room = Room::asking(&path, Box::new(ask));
    breaks.store(true, Ordering::SeqCst);
    // What is known of the room is good for a moment.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let store = SqliteStore::start(writer, readers).unwrap();
    let lost = StoreError::Failed(ENDED.to_owned());
    for _ in 0..2 {
        assert_eq!(store.accept(vec![unwanted(0)]).await.unwrap_err(), lost);
    }
    while store.check().await != Err(lost.clone()) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    drop(store);
    let store = SqliteStore::open(path, now()).await.unwrap();
    store.accept(vec![unwanted(0)]).await.unwrap();
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
        let done = |job: &Job| JobOutcome {
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
    writer.rolled_back(&StoreError::Failed("the disk".to_owned()), Vec::new());
    let store = SqliteStore::start(writer, readers).unwrap();
    for _ in 0..2 {
        let refusal = store.accept(vec![unwanted(0)]).await.unwrap_err();
        assert_eq!(refusal, StoreError::Failed("the disk".to_owned()));
        assert_eq!(store.check().await, Err(refusal));
    }
    store.close().await;
    let store = SqliteStore::open(path, now()).await.unwrap();
    store.accept(vec![unwanted(0)]).await.unwrap();
    store.close().await;
}
