//! A step that keeps failing is left alone.

use super::*;

const ROUTE: &str = "  - { name: r, events: github/**, chain: [record], retry: { attempts: 20, first_delay: 0s, jitter: none }, breaker: { failures: 3, window: 0s, cooldown: 30s, max_cooldown: 40s } }\n";

/// What is running settles, and nothing else starts.
async fn settled(way: &Way) -> usize {
    tokio::time::sleep(Duration::from_millis(700)).await;
    way.recorder.runs().len()
}

#[tokio::test]
async fn a_route_pauses_behind_failures_in_a_row_and_one_job_finds_out_whether_to_go_on() {
    let way = way("dedupe: id", ROUTE, vec![Play::Fail, Play::Fail, Play::Fail, Play::Fail]);
    way.post("id-1", "{}").await;
    let worker = way.work();
    way.until_runs(3).await;
    for n in 2..6 {
        way.post(&format!("id-{n}"), "{}").await;
    }
    assert_eq!(settled(&way).await, 3, "its breaker is open");
    way.clock.advance(Duration::from_secs(30));
    way.engine.wake_worker();
    assert_eq!(settled(&way).await, 4, "one job goes through, and fails");
    way.clock.advance(Duration::from_secs(39));
    way.engine.wake_worker();
    assert_eq!(settled(&way).await, 4, "the second pause is longer");
    way.clock.advance(Duration::from_secs(1));
    way.engine.wake_worker();
    way.until_runs(9).await;
    let page = way.browse().list(&Filter::default(), 10, None).await.unwrap();
    assert_eq!(page.events.len(), 5);
    for event in page.events {
        let detail = way.browse().show(event.id).await.unwrap().unwrap();
        assert!(detail.jobs[0].attempts.len() <= 5, "waiting costs no attempts");
    }
    worker.stop(Duration::from_secs(1)).await;
}

#[tokio::test]
async fn an_event_that_the_receiver_refuses_opens_no_breaker() {
    let way = way("dedupe: id", ROUTE, vec![Play::Fatal; 10]);
    let worker = way.work();
    for n in 0..12 {
        way.post(&format!("id-{n}"), "{}").await;
    }
    way.until_runs(12).await;
    worker.stop(Duration::from_secs(1)).await;
}
