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
