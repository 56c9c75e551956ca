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
async fn failed_proofs_lock_out_their_own_address_and_no_other() {
    let pipeline = pipeline("", ALL_EVENTS, vec![]);
    let (forger, sender) = ("203.0.113.9".parse().ok(), "203.0.113.10".parse().ok());
    for n in 0..60 {
        let reply = pipeline.post_from(&n.to_string(), "{}", "wrong", forger).await;
        assert_eq!(code(&reply), "INVALID_SIGNATURE", "{n}");
    }
    assert_eq!(code(&pipeline.post_from("x", "{}", "wrong", forger).await), "RATE_LIMITED");
    assert_eq!(pipeline.post_from("id-1", "{}", "s", sender).await.status, 200);
    pipeline.clock.advance(Duration::from_secs(60));
    assert_eq!(code(&pipeline.post_from("y", "{}", "wrong", forger).await), "INVALID_SIGNATURE");
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
