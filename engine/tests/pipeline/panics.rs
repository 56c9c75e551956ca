//! Panics of the store, and of the engine itself.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

#[tokio::test(start_paused = true)]
async fn a_store_call_that_panics_is_a_failed_call() {
    let store = Arc::new(FailingStore::default());
    let pipeline = pipeline_over(store.clone(), "", ALL_EVENTS, vec![]);
    let detail = {
        pipeline.post("id-0", "0").await;
        pipeline.only_event().await
    };
    store.set_panicking(true);
    let reply = pipeline.post("id-1", "{}").await;
    assert_eq!((reply.status.as_u16(), code(&reply).as_str()), (503, "STORE_UNAVAILABLE"));
    assert!(reply.headers.iter().any(|(name, _)| name == "retry-after"));
    let (engine_store, browse) = (pipeline.engine.store(), pipeline.browse());
    let error = engine_store.check().await.unwrap_err();
    let reason = "`check` panicked, and may have taken effect".to_owned();
    assert_eq!(error, StoreError::Unavailable(reason), "without the message of the panic");
    assert!(engine_store.depth().await.is_err() && engine_store.next_due().await.is_err());
    assert!(browse.list(&EventFilter::default(), 1, None).await.is_err());
    assert!(browse.show(detail.event.id()).await.is_err() && browse.find("id-0", 1).await.is_err());
    assert!(pipeline.engine.replay_event(detail.event.id(), None).await.is_err());
    assert!(!engine_store.durable());
    engine_store.close().await;
    store.set_panicking(false);
    assert!(engine_store.durable());
    assert_eq!(pipeline.post("id-1", "{}").await.status, 200);
}

/// Longer than the longest pause of any loop.
const ALL_LOOPS_RUN: Duration = Duration::from_secs(90);

#[tokio::test(start_paused = true)]
async fn worker_loops_survive_a_store_that_panics() {
    let store = Arc::new(FailingStore::default());
    let pipeline =
        pipeline_over(store.clone(), "", ALL_EVENTS, vec![Play::Slow(Duration::from_secs(25))]);
    pipeline.post("id-1", "{}").await;
    store.set_panicking(true);
    let worker = pipeline.start_worker();
    tokio::time::sleep(ALL_LOOPS_RUN).await;
    assert!(pipeline.recorder.runs().is_empty());
    store.set_panicking(false);
    // Claims work again. Now the heartbeats and the outcome meet a store that panics.
    pipeline.until_runs(1).await;
    store.set_panicking(true);
    tokio::time::sleep(ALL_LOOPS_RUN).await;
    store.set_panicking(false);
    pipeline.until_status(EventStatus::Done).await;
    assert_eq!(pipeline.recorder.runs().len(), 1, "the outcome was settled later");
    worker.stop(Duration::from_secs(5)).await;
}

/// A clock that panics when the test says so.
#[derive(Debug, Default)]
struct PanickingClock(AtomicBool);

impl Clock for PanickingClock {
    fn now(&self) -> Timestamp {
        assert!(!self.0.load(Ordering::SeqCst), "asked for by the test");
        START
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_worker_task_fails_the_process() {
    let config = pipeline("", ALL_EVENTS, vec![]).into_config();
    let clock = Arc::new(PanickingClock::default());
    let engine = Engine::new(config, Arc::new(MemoryStore::new()), clock.clone());
    let worker = Worker::start(engine.clone(), tokio::runtime::Handle::current());
    clock.0.store(true, Ordering::SeqCst);
    engine.until_failed().await;
    assert!(engine.is_draining());
    worker.stop(Duration::from_secs(5)).await;
}
