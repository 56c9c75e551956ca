//! Circuit breakers: a route whose step keeps failing gets no jobs for a while.

use super::*;

const ROUTE: &str = "  - { name: r, events: github/**, chain: [record], retry: { attempts: 20, first_delay: 0s, jitter: none }, breaker: { failures: 3, window: 0s, cooldown: 30s, max_cooldown: 40s } }\n";

/// How many steps have run, once the running ones have settled.
async fn settled_runs(pipeline: &Pipeline) -> usize {
    tokio::time::sleep(Duration::from_millis(700)).await;
    pipeline.recorder.runs().len()
}

#[tokio::test]
async fn consecutive_failures_pause_a_route_and_one_job_decides_whether_it_resumes() {
    let pipeline =
        pipeline("dedupe: id", ROUTE, vec![Play::Fail, Play::Fail, Play::Fail, Play::Fail]);
    pipeline.post("id-1", "{}").await;
    let worker = pipeline.start_worker();
    pipeline.until_runs(3).await;
    for n in 2..6 {
        pipeline.post(&format!("id-{n}"), "{}").await;
    }
    assert_eq!(settled_runs(&pipeline).await, 3, "its breaker is open");
    pipeline.clock.advance(Duration::from_secs(30));
    pipeline.engine.wake_worker();
    assert_eq!(settled_runs(&pipeline).await, 4, "one job runs, and fails");
    pipeline.clock.advance(Duration::from_secs(39));
    pipeline.engine.wake_worker();
    assert_eq!(settled_runs(&pipeline).await, 4, "the second cooldown is longer");
    pipeline.clock.advance(Duration::from_secs(1));
    pipeline.engine.wake_worker();
    pipeline.until_runs(9).await;
    let page = pipeline.browse().list(&EventFilter::default(), 10, None).await.unwrap();
    assert_eq!(page.events.len(), 5);
    for event in page.events {
        let detail = pipeline.browse().show(event.id).await.unwrap().unwrap();
        assert!(detail.jobs[0].attempts.len() <= 5, "waiting jobs make no attempts");
    }
    worker.stop(Duration::from_secs(1)).await;
}

#[tokio::test]
async fn an_event_that_the_receiver_rejects_does_not_open_the_breaker() {
    let pipeline = pipeline("dedupe: id", ROUTE, vec![Play::Fatal; 10]);
    let worker = pipeline.start_worker();
    for n in 0..12 {
        pipeline.post(&format!("id-{n}"), "{}").await;
    }
    pipeline.until_runs(12).await;
    worker.stop(Duration::from_secs(1)).await;
}
