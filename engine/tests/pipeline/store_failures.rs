//! A store that is unavailable, hangs or fails for good.

use super::*;

#[tokio::test]
async fn an_unavailable_store_means_503_with_retry_after_and_nothing_stored() {
    let store = Arc::new(FailingStore::default());
    let pipeline = pipeline_over(store.clone(), "", ALL_EVENTS, vec![]);
    store.fail_with(StoreError::Full("disk full".to_owned()));
    let reply = pipeline.post("id-1", "{}").await;
    assert_eq!((reply.status.as_u16(), code(&reply).as_str()), (503, "STORE_UNAVAILABLE"));
    assert!(reply.headers.iter().any(|(name, _)| name == "retry-after"));
    store.recover();
    assert_eq!(pipeline.post("id-1", "{}").await.status, 200);
    pipeline.only_event().await;
}

#[tokio::test]
async fn a_failed_store_stops_the_process_from_accepting() {
    let store = Arc::new(FailingStore::default());
    let pipeline = pipeline_over(store.clone(), "", ALL_EVENTS, vec![]);
    store.fail_with(StoreError::Failed("a sync failed".to_owned()));
    assert_eq!(pipeline.post("id-1", "{}").await.status, 503);
    pipeline.engine.until_failed().await;
    store.recover();
    assert_eq!(code(&pipeline.post("id-1", "{}").await), "DRAINING");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_closed_by_itself_has_failed() {
    let store = Arc::new(FailingStore::default());
    let pipeline = pipeline_over(store.clone(), "", ALL_EVENTS, vec![]);
    let worker = pipeline.start_worker();
    store.fail_with(StoreError::Closed);
    pipeline.engine.until_failed().await;
    assert_eq!(code(&pipeline.post("id-1", "{}").await), "DRAINING");
    worker.stop(Duration::from_secs(5)).await;
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_delays_a_sender_by_at_most_two_seconds() {
    let store = Arc::new(FailingStore::default());
    let pipeline = pipeline_over(store.clone(), "", ALL_EVENTS, vec![]);
    store.set_hanging(true);
    let sent = tokio::time::Instant::now();
    let reply = pipeline.post("id-1", "{}").await;
    assert_eq!(reply.status, 503);
    assert!(sent.elapsed() <= Duration::from_secs(3));
    // The health check reports it without asking the store, until the store answers again.
    store.set_hanging(false);
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert!(pipeline.engine.health_problem().await.unwrap().contains("two seconds"));
    store.release_calls();
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(pipeline.engine.health_problem().await, None);
}

/// A body that shows, by the count of its `Arc`, how long the engine keeps it.
struct TrackedBody(Bytes, #[allow(dead_code, reason = "its drop is what counts")] Arc<()>);

impl ReadBody for TrackedBody {
    async fn read(&mut self, _: usize) -> Result<Bytes, ReadError> {
        Ok(self.0.clone())
    }
}

#[tokio::test(start_paused = true)]
async fn deliveries_of_a_hanging_store_hold_their_memory_and_are_bounded_in_number() {
    let store = Arc::new(FailingStore::default());
    let pipeline = pipeline_over(store.clone(), "", ALL_EVENTS, vec![]);
    store.set_hanging(true);
    let held = Arc::new(());
    let posts = (0..3000).map(|n| {
        let body = TrackedBody(Bytes::from_static(b"{}"), held.clone());
        let (engine, head) =
            (pipeline.engine.clone(), pipeline.signed_head(&format!("id-{n}"), "{}", "s"));
        tokio::spawn(async move { code(&engine.receive(head, body).await) })
    });
    let mut codes = BTreeMap::new();
    for post in posts.collect::<Vec<_>>() {
        *codes.entry(post.await.unwrap()).or_insert(0) += 1;
    }
    let expected = [("OVERLOADED".to_owned(), 3000 - 2048), ("STORE_UNAVAILABLE".to_owned(), 2048)];
    assert_eq!(codes, BTreeMap::from(expected));
    // All senders have their answers; the deliveries that the store was given are still in memory.
    assert_eq!(Arc::strong_count(&held), 2048 + 1);
    store.set_hanging(false);
    store.release_calls();
    while Arc::strong_count(&held) > 1 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(pipeline.post("id-late", "{}").await.status, 200);
}

#[tokio::test]
async fn an_outcome_survives_a_short_outage_of_the_store() {
    let store = Arc::new(FailingStore::default());
    let pipeline =
        pipeline_over(store.clone(), "", ALL_EVENTS, vec![Play::Slow(Duration::from_millis(100))]);
    pipeline.post("id-1", "{}").await;
    let worker = pipeline.start_worker();
    pipeline.until_runs(1).await;
    store.fail_with(StoreError::Unavailable("unavailable".to_owned()));
    tokio::time::sleep(Duration::from_millis(300)).await;
    store.recover();
    pipeline.until_status(EventStatus::Done).await;
    assert_eq!(pipeline.recorder.runs().len(), 1);
    worker.stop(Duration::from_secs(5)).await;
}

/// A new process recovers only after this one has ended, so the stop must not wait for the store.
#[tokio::test]
async fn an_outcome_that_a_failed_store_never_takes_does_not_delay_the_stop() {
    let store = Arc::new(FailingStore::default());
    let pipeline =
        pipeline_over(store.clone(), "", ALL_EVENTS, vec![Play::Slow(Duration::from_millis(100))]);
    pipeline.post("id-1", "{}").await;
    let worker = pipeline.start_worker();
    pipeline.until_runs(1).await;
    store.fail_with(StoreError::Failed("a sync failed".to_owned()));
    pipeline.engine.until_failed().await;
    let stopping = std::time::Instant::now();
    worker.stop(Duration::from_secs(15)).await;
    assert!(stopping.elapsed() < Duration::from_secs(3), "{:?}", stopping.elapsed());
}
