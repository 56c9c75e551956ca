//! Slots, leases and stopping: which jobs run, and at most how many.

use super::*;

#[tokio::test]
async fn stopping_releases_running_jobs_and_their_attempts_do_not_count() {
    let pipeline = pipeline("", ALL_EVENTS, vec![Play::Hang]);
    pipeline.post("id-1", "{}").await;
    let worker = pipeline.start_worker();
    pipeline.until_runs(1).await;
    worker.stop(Duration::from_millis(50)).await;
    let job = &pipeline.only_event().await.jobs[0];
    assert_eq!((job.state, job.attempt), (JobState::Pending, 0));
    let worker = pipeline.start_worker();
    pipeline.until_status(EventStatus::Done).await;
    worker.stop(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn a_route_runs_at_most_as_many_jobs_as_its_concurrency() {
    let routes = "  - { name: r, events: github/**, chain: [record], concurrency: 3 }\n";
    let pipeline = pipeline("", routes, vec![Play::Hang; 3]);
    for n in 0..10 {
        pipeline.post(&n.to_string(), &n.to_string()).await;
    }
    let worker = pipeline.start_worker();
    pipeline.until_runs(3).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(pipeline.recorder.runs().len(), 3);
    worker.stop(Duration::from_millis(10)).await;
}

/// A lease expires although the worker extended it, so the store lets the job be claimed again.
#[tokio::test(start_paused = true)]
async fn a_job_claimed_again_keeps_its_new_lease_when_its_older_attempt_ends() {
    let routes = "  - { name: r, events: github/**, chain: [{ handler: record, timeout: 10m }] }\n";
    let store = Arc::new(FailingStore::default());
    let script = vec![Play::Slow(Duration::from_secs(3)), Play::Hang];
    let pipeline = pipeline_over(store.clone(), "", routes, script);
    pipeline.post("id-1", "{}").await;
    let worker = pipeline.start_worker();
    pipeline.until_runs(1).await;
    store.set_ignoring_extensions(true);
    pipeline.clock.advance(Duration::from_secs(31));
    pipeline.engine.wake_worker();
    pipeline.until_runs(2).await;
    store.set_ignoring_extensions(false);
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_secs(5)).await;
        pipeline.clock.advance(Duration::from_secs(5));
        pipeline.engine.wake_worker();
    }
    assert_eq!(
        pipeline.recorder.runs().len(),
        2,
        "the lease of the second attempt was not extended"
    );
    worker.stop(Duration::from_millis(10)).await;
    assert_eq!(pipeline.only_event().await.jobs[0].state, JobState::Pending, "it was released");
}

#[tokio::test(start_paused = true)]
async fn a_route_without_a_free_slot_does_not_delay_retries_of_another() {
    let routes = concat!(
        "  - { name: a, events: github/**, match: { /r: [a] }, chain: [record], concurrency: 1 }\n",
        "  - { name: b, events: github/**, match: { /r: [b] }, chain: [record],",
        " retry: { first_delay: 1s, jitter: none } }\n"
    );
    let pipeline = pipeline("", routes, vec![Play::Hang, Play::Fail]);
    let worker = pipeline.start_worker();
    pipeline.post("id-1", r#"{"r":"a","n":1}"#).await;
    pipeline.until_runs(1).await;
    pipeline.post("id-2", r#"{"r":"a","n":2}"#).await;
    pipeline.post("id-3", r#"{"r":"b"}"#).await;
    pipeline.until_runs(2).await;
    let mut waited = Duration::ZERO;
    while pipeline.recorder.runs().len() < 3 {
        let step = Duration::from_millis(50);
        tokio::time::sleep(step).await;
        pipeline.clock.advance(step);
        waited += step;
    }
    assert!(waited < Duration::from_secs(2), "a delay of 1 s took {waited:?}");
    worker.stop(Duration::from_millis(10)).await;
}
