//! What follows an attempt: the next step, a retry, a dead letter.

use super::*;

#[tokio::test]
async fn a_retry_waits_for_its_delay_and_every_attempt_is_recorded() {
    let pipeline = pipeline("", ALL_EVENTS, vec![Play::Fail, Play::Panic]);
    pipeline.post("id-1", "{}").await;
    let worker = pipeline.start_worker();
    pipeline.until_runs(1).await;
    for (runs, wait) in [(2, 2), (3, 4)] {
        pipeline.until_status(EventStatus::Pending).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(pipeline.recorder.runs().len(), runs - 1, "it is not yet due");
        pipeline.clock.advance(Duration::from_secs(wait));
        pipeline.engine.wake_worker();
        pipeline.until_runs(runs).await;
    }
    let detail = pipeline.until_status(EventStatus::Done).await;
    let outcomes: Vec<_> = detail.jobs[0].attempts.iter().map(|a| a.outcome.as_str()).collect();
    assert_eq!(outcomes, ["error", "panic", "done"]);
    let keys: Vec<_> = pipeline.recorder.runs().iter().map(|r| r.cx.idempotency_key()).collect();
    assert!(keys.windows(2).all(|w| w[0] == w[1]));
    worker.stop(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn a_fatal_failure_is_dead_immediately_and_retry_after_is_obeyed() {
    let fatal = pipeline("", ALL_EVENTS, vec![Play::Fatal]);
    fatal.post("id-1", "{}").await;
    let worker = fatal.start_worker();
    let detail = fatal.until_status(EventStatus::Dead).await;
    assert_eq!(detail.jobs[0].attempt, 1);
    worker.stop(Duration::from_secs(5)).await;

    let limited = pipeline("", ALL_EVENTS, vec![Play::RetryAfter(Duration::from_secs(90))]);
    limited.post("id-1", "{}").await;
    let worker = limited.start_worker();
    limited.until_runs(1).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(limited.only_event().await.jobs[0].due, Some(START.plus(Duration::from_secs(90))));
    worker.stop(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn a_replaced_body_reaches_the_next_step_and_its_retry() {
    let routes =
        "  - { name: r, events: github/**, chain: [record, record], retry: { first_delay: 1s } }\n";
    let script = vec![Play::Replace(Body::new("new")), Play::Fail];
    let pipeline = pipeline("", routes, script);
    pipeline.post("id-1", "old").await;
    let worker = pipeline.start_worker();
    pipeline.until_runs(2).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    pipeline.clock.advance(Duration::from_secs(2));
    pipeline.engine.wake_worker();
    pipeline.until_status(EventStatus::Done).await;
    let seen: Vec<_> =
        pipeline.recorder.runs().iter().map(|r| r.event.body().bytes().clone()).collect();
    assert_eq!(seen, ["old", "new", "new"]);
    assert_eq!(
        pipeline.only_event().await.event.body().bytes(),
        "old",
        "the stored body is the received one"
    );
    worker.stop(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn a_job_of_a_removed_route_is_unrouted_and_one_of_a_removed_step_is_dead() {
    let pipeline = pipeline("", ALL_EVENTS, vec![Play::Fail]);
    pipeline.post("id-1", "{}").await;
    let worker = pipeline.start_worker();
    pipeline.until_runs(1).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    let other = "  - { name: r, events: github/**, chain: [{ handler: record, name: other }] }\n";
    pipeline.engine.reload(super::pipeline("", other, vec![]).into_config()).unwrap();
    pipeline.clock.advance(Duration::from_secs(5));
    pipeline.engine.wake_worker();
    let detail = pipeline.until_status(EventStatus::Dead).await;
    assert!(detail.jobs[0].reason.as_ref().unwrap().contains("`record` is no longer"));
    let gone = "  - { name: q, events: github/**, chain: [record] }\n";
    let id = detail.event.id();
    pipeline.engine.replay_event(id, None).await.unwrap();
    worker.stop(Duration::from_secs(5)).await;
    pipeline.engine.reload(super::pipeline("", gone, vec![]).into_config()).unwrap();
    let worker = pipeline.start_worker();
    pipeline.until_status(EventStatus::Unrouted).await;
    worker.stop(Duration::from_secs(5)).await;
}
