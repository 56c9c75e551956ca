//! A wall clock that is set while the engine runs.

use super::*;

#[tokio::test]
async fn behind_a_step_of_the_clock_a_stale_signature_may_come_again_instead_of_being_refused() {
    let (age, tolerance) = (Duration::from_secs(3600), Duration::from_secs(300));
    let way = way_of(Refusing(VerifyError::TimestampTooOld { age, tolerance }));
    let post = || way.engine.receive(bare_head(), Bytes::new());
    assert_eq!(code(&post().await), "TIMESTAMP_TOO_OLD");
    way.clock.set(way.clock.now().plus(Duration::from_secs(3600)));
    let reply = post().await;
    assert_eq!((reply.status.as_u16(), code(&reply).as_str()), (503, "CLOCK_SUSPECT"));
    assert!(reply.headers.iter().any(|(name, _)| name == "retry-after"));
    way.clock.advance(Duration::from_secs(60));
    assert_eq!(code(&post().await), "TIMESTAMP_TOO_OLD");
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_jumps_ahead_makes_nothing_forgotten() {
    let way = way("", ALL, vec![]);
    let worker = way.work();
    assert_eq!(way.post("d-1", "{}").await.status, 200);
    way.until(Status::Done).await;
    let month = Duration::from_secs(31 * 24 * 3600);
    way.clock.set(way.clock.now().plus(month));
    // The purge looks every minute.
    tokio::time::sleep(Duration::from_secs(200)).await;
    assert_eq!(way.post("d-1", "{}").await.status, 200);
    assert_eq!(way.only().await.summary.status, Status::Done, "kept, and its repetition is known");
    // Time that really passes makes it old.
    way.clock.set(way.clock.now().minus(month));
    way.clock.advance(month);
    tokio::time::sleep(Duration::from_secs(200)).await;
    let left = way.browse().list(&Filter::default(), 10, None).await.unwrap();
    assert!(left.events.is_empty());
    worker.stop(Duration::ZERO).await;
}

#[tokio::test]
async fn a_job_that_runs_while_the_process_was_stopped_is_not_run_again() {
    let way = way("", ALL, vec![Play::Slow(Duration::from_millis(1500))]);
    let worker = way.work();
    assert_eq!(way.post("d-1", "{}").await.status, 200);
    way.until_runs(1).await;
    // As after SIGSTOP and SIGCONT, or a machine that slept: its lease is over before anyone spoke.
    way.clock.advance(Duration::from_secs(40));
    assert_eq!(way.post("d-2", "{\"n\":2}").await.status, 200);
    way.until_runs(2).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(way.recorder.runs().len(), 2, "the first did not start again");
    worker.stop(Duration::from_secs(5)).await;
    let page = way.browse().list(&Filter::default(), 10, None).await.unwrap();
    assert!(page.events.iter().all(|event| event.status == Status::Done));
}
