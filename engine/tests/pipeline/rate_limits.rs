//! The rate of a source, and the limit of failed proofs.

use super::*;

#[tokio::test]
async fn the_rate_of_a_source_refills_with_the_clock() {
    let pipeline = pipeline("limits: { rate: 2/min }", ALL_EVENTS, vec![]);
    assert_eq!(pipeline.post("id-1", "1").await.status, 200);
    assert_eq!(pipeline.post("id-2", "2").await.status, 200);
    assert_eq!(code(&pipeline.post("id-3", "3").await), "RATE_LIMITED");
    pipeline.clock.advance(Duration::from_secs(30));
    assert_eq!(pipeline.post("id-3", "3").await.status, 200);
    assert_eq!(code(&pipeline.post("id-4", "4").await), "RATE_LIMITED");
}

#[tokio::test]
async fn a_rate_above_one_per_millisecond_is_enforced() {
    let pipeline = pipeline("limits: { rate: 3000/s, burst: 2 }", ALL_EVENTS, vec![]);
    assert_eq!(pipeline.post("id-1", "1").await.status, 200);
    assert_eq!(pipeline.post("id-2", "2").await.status, 200);
    assert_eq!(code(&pipeline.post("id-3", "3").await), "RATE_LIMITED");
    pipeline.clock.advance(Duration::from_millis(1));
    assert_eq!(pipeline.post("id-3", "3").await.status, 200);
}

#[tokio::test]
async fn duplicates_do_not_spend_the_rate_of_a_source() {
    let pipeline = pipeline("limits: { rate: 2/min }", ALL_EVENTS, vec![]);
    assert_eq!(pipeline.post("id-1", "1").await.status, 200);
    for _ in 0..130 {
        assert_eq!(pipeline.post("id-1", "1").await.status, 200);
    }
    assert_eq!(pipeline.post("id-2", "2").await.status, 200, "a new event");
    assert_eq!(code(&pipeline.post("id-3", "3").await), "RATE_LIMITED");
}

/// Posts pushes from one address at the same time, each with its id as the body.
async fn post_all(
    pipeline: &Arc<Pipeline>,
    ids: Vec<String>,
    secret: &'static str,
    client: Option<IpAddr>,
) -> Vec<Reply> {
    let mut posts = tokio::task::JoinSet::new();
    for id in ids {
        let pipeline = pipeline.clone();
        posts.spawn(async move { pipeline.post_from(&id, &id, secret, client).await });
    }
    posts.join_all().await
}

#[tokio::test]
async fn concurrent_duplicates_delay_a_new_event_and_do_not_reject_it() {
    let store = Arc::new(FailingStore::default());
    let pipeline = pipeline_over(store.clone(), "limits: { rate: 3/min }", ALL_EVENTS, vec![]);
    let pipeline = Arc::new(pipeline);
    assert_eq!(pipeline.post("id-1", "id-1").await.status, 200);
    store.set_hanging(true);
    let duplicates = vec!["id-1".to_owned(); 40];
    let others = pipeline.clone();
    let duplicates = tokio::spawn(async move { post_all(&others, duplicates, "s", None).await });
    let others = pipeline.clone();
    let new = tokio::spawn(async move { others.post("id-2", "id-2").await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(
        !new.is_finished(),
        "the rate is reserved by duplicates that are not known as such yet"
    );
    store.set_hanging(false);
    store.release_calls();
    assert!(duplicates.await.unwrap().iter().all(|reply| reply.status == 200));
    assert_eq!(new.await.unwrap().status, 200);
}

#[tokio::test]
async fn concurrent_new_events_beyond_the_rate_are_rejected() {
    let pipeline = Arc::new(pipeline("limits: { rate: 10/min }", ALL_EVENTS, vec![]));
    let replies = post_all(&pipeline, (0..25).map(|n| n.to_string()).collect(), "s", None).await;
    let count = |status: u16| replies.iter().filter(|reply| reply.status == status).count();
    assert_eq!((count(200), count(429)), (10, 15));
}

#[tokio::test]
async fn a_delivery_that_the_store_did_not_accept_does_not_spend_the_rate() {
    let store = Arc::new(FailingStore::default());
    let pipeline = pipeline_over(store.clone(), "limits: { rate: 1/min }", ALL_EVENTS, vec![]);
    store.fail_with(StoreError::Unavailable("away".to_owned()));
    assert_eq!(pipeline.post("id-1", "1").await.status, 503);
    store.recover();
    assert_eq!(pipeline.post("id-1", "1").await.status, 200);
}

#[tokio::test]
async fn a_genuine_event_is_accepted_however_many_forgeries_its_address_sent() {
    let pipeline = pipeline("", ALL_EVENTS, vec![]);
    let (shared, other) = ("203.0.113.9".parse().ok(), "203.0.113.10".parse().ok());
    for n in 0..60 {
        let reply = pipeline.post_from(&n.to_string(), "{}", "wrong", shared).await;
        assert_eq!(code(&reply), "INVALID_SIGNATURE", "{n}");
    }
    for n in 0..10 {
        let forgery = pipeline.post_from(&format!("x-{n}"), "{}", "wrong", shared).await;
        assert_eq!((forgery.status.as_u16(), code(&forgery).as_str()), (429, "RATE_LIMITED"));
        let id = format!("id-{n}");
        assert_eq!(pipeline.post_from(&id, &id, "s", shared).await.status, 200, "{n}");
    }
    assert_eq!(code(&pipeline.post_from("x", "{}", "wrong", other).await), "INVALID_SIGNATURE");
    pipeline.clock.advance(Duration::from_secs(60));
    assert_eq!(code(&pipeline.post_from("y", "{}", "wrong", shared).await), "INVALID_SIGNATURE");
}

#[tokio::test]
async fn a_missing_signature_beyond_the_limit_of_failures_gets_429() {
    let pipeline = pipeline("", ALL_EVENTS, vec![]);
    for _ in 0..60 {
        let reply = pipeline.engine.receive(bare_head(), Bytes::from_static(b"{}")).await;
        assert_eq!(code(&reply), "MISSING_SIGNATURE");
    }
    let reply = pipeline.engine.receive(bare_head(), Bytes::from_static(b"{}")).await;
    assert_eq!(code(&reply), "RATE_LIMITED");
    assert!(reply.headers.iter().any(|(name, _)| name == http::header::RETRY_AFTER));
}

#[tokio::test]
async fn concurrent_forgeries_of_one_address_do_not_starve_its_genuine_events() {
    let pipeline = Arc::new(pipeline("", ALL_EVENTS, vec![]));
    let shared = "203.0.113.9".parse().ok();
    let forged = (0..300).map(|n| format!("forged-{n}")).collect();
    let genuine = (0..20).map(|n| format!("id-{n}")).collect();
    let (forged, genuine) = tokio::join!(
        post_all(&pipeline, forged, "wrong", shared),
        post_all(&pipeline, genuine, "s", shared),
    );
    assert!(forged.iter().all(|reply| matches!(reply.status.as_u16(), 401 | 429)));
    assert!(genuine.iter().all(|reply| reply.status == 200));
}

#[tokio::test]
async fn unavailable_keys_do_not_count_as_failed_proofs() {
    let pipeline = pipeline_with_provider(RejectingProvider(VerifyError::KeyUnavailable {
        reason: "unavailable".into(),
    }));
    for n in 0..100 {
        let reply = pipeline.engine.receive(bare_head(), Bytes::from_static(b"{}")).await;
        assert_eq!((reply.status.as_u16(), code(&reply).as_str()), (503, "KEY_UNAVAILABLE"), "{n}");
    }
}
