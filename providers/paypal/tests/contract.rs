//! Runs the conformance suite and the test vectors of PayPal.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use hookward_core::keys::FixedKeys;
use hookward_core::{Body, Proof, SecretSet, Timestamp, VerifyCx, prove};
use hookward_provider_paypal::PLUGINS;
use hookward_testkit::provider::{Subject, run_vectors};
use hookward_testkit::vectors::VectorFile;

fn vectors() -> VectorFile {
    serde_json::from_str(include_str!("vectors.json")).unwrap()
}

fn subject() -> Subject {
    Subject::of(PLUGINS, "4JH86294D6297924G", "9XY00000AB1111111")
}

/// A CRC detects every change of one bit.
#[test]
fn paypal_keeps_the_contract() {
    subject().recordings(vectors()).check();
}

#[test]
fn paypal_agrees_with_every_vector() {
    run_vectors(|_| subject().build().ok(), &vectors()).assert_agrees();
}

#[tokio::test]
async fn a_second_body_with_the_same_crc_has_the_same_replay_token() {
    let provider = subject().build().unwrap();
    let file = vectors();
    let mut tokens = Vec::new();
    for id in ["paypal-001", "paypal-015"] {
        let vector = file.vectors.iter().find(|v| v.id == id).unwrap();
        let keys = FixedKeys(vector.inputs.certificate_pem.clone().unwrap().into());
        let secrets = SecretSet::from_texts(["9XY00000AB1111111", "4JH86294D6297924G"]).unwrap();
        let now = Timestamp::from_secs(1_431_963_913);
        let cx = VerifyCx::new(now, secrets.active(now), &keys);
        let proof = prove(&*provider, vector.request.to_request().unwrap(), &cx).await;
        let Ok(Proof::Genuine(delivery)) = proof else { panic!("{id}: {proof:?}") };
        assert_eq!(delivery.secret_index(), 1);
        tokens.push(provider.replay_token(&delivery).unwrap());
        if id == "paypal-001" {
            let event = provider.identify(&delivery).unwrap().remove(0);
            assert_eq!(event.event_type.as_deref(), Some("PAYMENT.SALE.COMPLETED"));
            assert!(!event.event_id.unwrap().signed);
        }
        let mut longer = vector.request.to_request().unwrap();
        longer.body = Body::new([longer.body.bytes().as_ref(), b" "].concat());
        assert!(prove(&*provider, longer, &cx).await.is_err());
    }
    assert_eq!(tokens[0], tokens[1]);
}
