//! A wall clock that is set, or a process that is paused, while the engine runs.

use super::*;

#[tokio::test]
async fn after_a_clock_step_a_stale_signature_gets_503_instead_of_401() {
    let (age, tolerance) = (Duration::from_secs(3600), Duration::from_secs(300));
    let pipeline =
        pipeline_with_provider(RejectingProvider(VerifyError::TimestampTooOld { age, tolerance }));
    let post = || pipeline.engine.receive(bare_head(), Bytes::new());
    assert_eq!(code(&post().await), "TIMESTAMP_TOO_OLD");
    pipeline.clock.set(pipeline.clock.now().plus(Duration::from_secs(3600)));
    let reply = post().await;
    assert_eq!((reply.status.as_u16(), code(&reply).as_str()), (503, "CLOCK_SUSPECT"));
    assert!(reply.headers.iter().any(|(name, _)| name == "retry-after"));
    pipeline.clock.advance(Duration::from_secs(60));
    assert_eq!(code(&post().await), "TIMESTAMP_TOO_OLD");
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_jumps_ahead_expires_nothing() {
    let pipeline = pipeline("", ALL_EVENTS, vec![]);
    let worker = pipeline.start_worker();
    assert_eq!(pipeline.post("d-1", "{}").await.status, 200);
    pipeline.until_status(EventStatus::Done).await;
    let month = Duration::from_secs(31 * 24 * 3600);
    pipeline.clock.set(pipeline.clock.now().plus(month));
    // The retention loop purges every minute.
    tokio::time::sleep(Duration::from_secs(200)).await;
    assert_eq!(pipeline.post("d-1", "{}").await.status, 200);
    assert_eq!(
        pipeline.only_event().await.summary.status,
        EventStatus::Done,
        "the event is stored, and its repetition is a duplicate"
    );
    // Time that passes on both clocks expires it.
    pipeline.clock.set(pipeline.clock.now().minus(month));
    pipeline.clock.advance(month);
    tokio::time::sleep(Duration::from_secs(200)).await;
    let left = pipeline.browse().list(&EventFilter::default(), 10, None).await.unwrap();
    assert!(left.events.is_empty());
    worker.stop(Duration::ZERO).await;
}

#[tokio::test]
async fn a_job_that_runs_while_the_process_is_paused_is_not_run_again() {
    let pipeline = pipeline("", ALL_EVENTS, vec![Play::Slow(Duration::from_millis(1500))]);
    let worker = pipeline.start_worker();
    assert_eq!(pipeline.post("d-1", "{}").await.status, 200);
    pipeline.until_runs(1).await;
    // As after SIGSTOP and SIGCONT, or on a machine that slept: the lease expires before a
    // heartbeat.
    pipeline.clock.advance(Duration::from_secs(40));
    assert_eq!(pipeline.post("d-2", "{\"n\":2}").await.status, 200);
    pipeline.until_runs(2).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(pipeline.recorder.runs().len(), 2, "the first job did not run again");
    worker.stop(Duration::from_secs(5)).await;
    let page = pipeline.browse().list(&EventFilter::default(), 10, None).await.unwrap();
    assert!(page.events.iter().all(|event| event.status == EventStatus::Done));
}

/// A pipeline over a store that outlives it, at this time: what a restart finds.
async fn restarted(store: &Arc<FailingStore>, wall: Timestamp) -> Pipeline {
    let pipeline = pipeline_over(store.clone(), "", ALL_EVENTS, vec![]);
    pipeline.clock.set(wall);
    pipeline.engine.start_retention_clock().await.unwrap();
    pipeline
}

/// Purges as often as the retention loop does in three minutes, and stops the worker.
async fn run_three_minutes(pipeline: &Pipeline) {
    let worker = pipeline.start_worker();
    tokio::time::sleep(Duration::from_secs(200)).await;
    worker.stop(Duration::from_secs(5)).await;
}

async fn stored(pipeline: &Pipeline) -> Vec<EventStatus> {
    let page = pipeline.browse().list(&EventFilter::default(), 100, None).await.unwrap();
    page.events.iter().map(|event| event.status).collect()
}

const SIXTY_DAYS: Duration = Duration::from_secs(60 * 24 * 3600);

/// An event and a dead letter, from before the clock was wrong.
async fn store_with_a_dead_letter() -> Arc<FailingStore> {
    let store = Arc::new(FailingStore::default());
    let script = vec![Play::Fatal];
    let pipeline = pipeline_over(store.clone(), "", ALL_EVENTS, script);
    assert_eq!(pipeline.post("dead", "{}").await.status, 200);
    let worker = pipeline.start_worker();
    pipeline.until_status(EventStatus::Dead).await;
    assert_eq!(pipeline.post("done", "{\"n\":1}").await.status, 200);
    tokio::time::sleep(Duration::from_secs(1)).await;
    worker.stop(Duration::from_secs(5)).await;
    assert_eq!(stored(&pipeline).await, [EventStatus::Done, EventStatus::Dead]);
    store
}

#[tokio::test(start_paused = true)]
async fn events_that_arrive_under_a_wrong_clock_expire_nothing_at_the_next_restart() {
    for wrong in [START.plus(SIXTY_DAYS), START.minus(SIXTY_DAYS)] {
        let store = store_with_a_dead_letter().await;
        for n in 0..4 {
            let pipeline = restarted(&store, wrong).await;
            assert_eq!(
                pipeline.post(&format!("new-{n}"), &format!("{{\"m\":{n}}}")).await.status,
                200
            );
            run_three_minutes(&pipeline).await;
            assert_eq!(stored(&pipeline).await.len(), 3 + n, "at {wrong}, restart {n}");
            for (id, body) in [("dead", "{}"), ("done", "{\"n\":1}"), ("new-0", "{\"m\":0}")] {
                assert_eq!(pipeline.post(id, body).await.status, 200);
            }
            assert_eq!(stored(&pipeline).await.len(), 3 + n, "repetitions are duplicates");
        }
        // The clock is right again: what came under the wrong one is not old by it.
        let pipeline = restarted(&store, START.plus(Duration::from_secs(600))).await;
        for _ in 0..3 {
            run_three_minutes(&pipeline).await;
            pipeline.clock.advance(Duration::from_secs(13 * 3600));
        }
        assert_eq!(stored(&pipeline).await.len(), 6, "at {wrong}");
        assert_eq!(pipeline.post("new-0", "{\"m\":0}").await.status, 200);
        assert_eq!(stored(&pipeline).await.len(), 6, "at {wrong}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_back_and_corrected_expires_nothing() {
    let pipeline = pipeline("", ALL_EVENTS, vec![]);
    pipeline.engine.start_retention_clock().await.unwrap();
    pipeline.clock.set(START.minus(SIXTY_DAYS));
    assert_eq!(pipeline.post("d-1", "{}").await.status, 200);
    let worker = pipeline.start_worker();
    // Its job is due by the wall clock, which claims go by.
    let event = pipeline.until_status(EventStatus::Done).await;
    assert_eq!(event.summary.received_at, START);
    assert!(event.notes.iter().any(|note| note.contains("in doubt")), "{:?}", event.notes);
    pipeline.clock.set(START);
    tokio::time::sleep(Duration::from_secs(200)).await;
    pipeline.clock.advance(Duration::from_secs(25 * 3600));
    tokio::time::sleep(Duration::from_secs(200)).await;
    assert_eq!(pipeline.post("d-1", "{}").await.status, 200);
    assert_eq!(stored(&pipeline).await, [EventStatus::Done]);
    worker.stop(Duration::ZERO).await;
}

#[tokio::test(start_paused = true)]
async fn a_wall_clock_that_differs_for_a_day_is_followed() {
    let store = store_with_a_dead_letter().await;
    let wall = START.plus(SIXTY_DAYS);
    let pipeline = restarted(&store, wall).await;
    let worker = pipeline.start_worker();
    tokio::time::sleep(Duration::from_secs(200)).await;
    assert_eq!(stored(&pipeline).await.len(), 2);
    pipeline.clock.advance(Duration::from_secs(24 * 3600 + 60));
    tokio::time::sleep(Duration::from_secs(200)).await;
    assert_eq!(stored(&pipeline).await.len(), 0, "the machine was off for sixty days");
    worker.stop(Duration::ZERO).await;
}

/// A store that cannot say where the retention clock was must not cost an event.
#[tokio::test(start_paused = true)]
async fn nothing_expires_while_the_saved_clock_cannot_be_read() {
    let store = store_with_a_dead_letter().await;
    let pipeline = pipeline_over(store.clone(), "", ALL_EVENTS, vec![]);
    pipeline.clock.set(START.plus(SIXTY_DAYS));
    store.fail_with(StoreError::Unavailable("busy".to_owned()));
    assert!(pipeline.engine.start_retention_clock().await.is_err());
    let worker = pipeline.start_worker();
    tokio::time::sleep(Duration::from_secs(200)).await;
    assert_eq!(stored(&pipeline).await.len(), 2);
    store.recover();
    assert_eq!(pipeline.post("done", "{\"n\":1}").await.status, 200);
    tokio::time::sleep(Duration::from_secs(200)).await;
    assert_eq!(stored(&pipeline).await.len(), 2);
    worker.stop(Duration::ZERO).await;
}
