//! What panics, a store or we ourselves, is told and does not stand still.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

#[tokio::test(start_paused = true)]
async fn a_call_of_the_store_that_panics_is_one_that_failed() {
    let store = Arc::new(Fails::default());
    let way = way_over(store.clone(), "", ALL, vec![]);
    let detail = {
        way.post("id-0", "0").await;
        way.only().await
    };
    store.panics.store(true, Ordering::SeqCst);
    let reply = way.post("id-1", "{}").await;
    assert_eq!((reply.status.as_u16(), code(&reply).as_str()), (503, "STORE_UNAVAILABLE"));
    assert!(reply.headers.iter().any(|(name, _)| name == "retry-after"));
    let (guarded, browse) = (way.engine.store(), way.browse());
    let told = guarded.check().await.unwrap_err();
    let words = "`check` panicked, and may have taken effect".to_owned();
    assert_eq!(told, StoreError::Unavailable(words), "and nothing of what the panic said");
    assert!(guarded.depth().await.is_err() && guarded.next_due().await.is_err());
    assert!(browse.list(&Filter::default(), 1, None).await.is_err());
    assert!(browse.show(detail.event.id()).await.is_err() && browse.find("id-0", 1).await.is_err());
    assert!(way.engine.replay_event(detail.event.id(), None).await.is_err());
    assert!(!guarded.durable());
    guarded.close().await;
    store.panics.store(false, Ordering::SeqCst);
    assert!(guarded.durable());
    assert_eq!(way.post("id-1", "{}").await.status, 200);
}

/// Longer than the longest pause of any of them.
const LONG: Duration = Duration::from_secs(90);

#[tokio::test(start_paused = true)]
async fn no_loop_of_the_worker_ends_because_the_store_panics() {
    let store = Arc::new(Fails::default());
    let way = way_over(store.clone(), "", ALL, vec![Play::Slow(Duration::from_secs(25))]);
    way.post("id-1", "{}").await;
    store.panics.store(true, Ordering::SeqCst);
    let worker = way.work();
    tokio::time::sleep(LONG).await;
    assert!(way.recorder.runs().is_empty());
    store.panics.store(false, Ordering::SeqCst);
    // The claims go on; now the heartbeats and the outcome meet it.
    way.until_runs(1).await;
    store.panics.store(true, Ordering::SeqCst);
    tokio::time::sleep(LONG).await;
    store.panics.store(false, Ordering::SeqCst);
    way.until(Status::Done).await;
    assert_eq!(way.recorder.runs().len(), 1, "the outcome was kept");
    worker.stop(Duration::from_secs(5)).await;
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_closed_by_nobody_is_lost() {
    let store = Arc::new(Fails::default());
    let way = way_over(store.clone(), "", ALL, vec![]);
    let worker = way.work();
    *store.with.lock().unwrap() = Some(StoreError::Closed);
    way.engine.until_failed().await;
    assert_eq!(code(&way.post("id-1", "{}").await), "DRAINING");
    worker.stop(Duration::from_secs(5)).await;
}

/// A clock that breaks.
#[derive(Debug, Default)]
struct Broken(AtomicBool);

impl Clock for Broken {
    fn now(&self) -> Timestamp {
        assert!(!self.0.load(Ordering::SeqCst), "asked for by the test");
        START
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_our_own_in_the_worker_ends_the_process() {
    let config = way("", ALL, vec![]).engine_plan();
    let clock = Arc::new(Broken::default());
    let engine = Engine::new(config, Arc::new(MemoryStore::new()), clock.clone());
    let worker = Worker::start(engine.clone(), tokio::runtime::Handle::current());
    clock.0.store(true, Ordering::SeqCst);
    engine.until_failed().await;
    assert!(engine.is_draining());
    worker.stop(Duration::from_secs(5)).await;
}
