//! Runs the conformance suite and the test vectors of HubSpot, in each version.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::time::Duration;

use hookward_core::keys::NoKeys;
use hookward_core::{Body, EventDraft, Proof, Secret, SecretSet, Timestamp, VerifyCx, prove};
use hookward_provider_hubspot::PLUGINS;
use hookward_testkit::provider::{Subject, run_vectors};
use hookward_testkit::vectors::VectorFile;
use serde_json::json;

fn vectors() -> VectorFile {
    serde_json::from_str(include_str!("vectors.json")).unwrap()
}

fn subject(version: &str) -> Subject {
    let tolerance = (version == "v3").then(|| Duration::from_secs(300));
    let subject = Subject::of(PLUGINS, "hush", "another-secret").tolerance(tolerance);
    subject.with(json!({ "scheme": version }))
}

#[test]
fn hubspot_keeps_the_contract_in_each_version() {
    for version in ["v1", "v2", "v3"] {
        let mut recordings = vectors();
        recordings.vectors.retain(|vector| vector.scheme.ends_with(version));
        subject(version).recordings(recordings).check();
    }
}

#[test]
fn hubspot_agrees_with_every_vector() {
    let version = |scheme: &str| scheme.trim_start_matches("hubspot-").to_owned();
    run_vectors(|scheme| subject(&version(scheme)).build().ok(), &vectors()).assert_agrees();
}

#[tokio::test]
async fn the_scope_distinguishes_equal_event_ids_and_v3_has_a_replay_token() {
    let body = r#"[{"eventId":1,"objectId":7,"attemptNumber":0},
        {"eventId":1,"objectId":8,"attemptNumber":0},{"eventId":1,"objectId":7,"attemptNumber":1}]"#;
    for (version, has_token) in [("v1", false), ("v2", false), ("v3", true)] {
        let provider = subject(version).build().unwrap();
        let (now, secret) = (Timestamp::from_secs(1_760_000_000), Secret::new("hush"));
        let draft = EventDraft::new(
            String::new(),
            String::new(),
            Body::new(body),
            "https://hooks.example.com/in".to_owned(),
            now,
        );
        let request = provider.signer().unwrap().sign(&draft, &secret).unwrap();
        let secrets = SecretSet::from_texts(["hush"]).unwrap();
        let cx = VerifyCx::new(now, secrets.active(now), &NoKeys)
            .with_public_url("https://hooks.example.com");
        let proof = prove(provider.as_ref(), request, &cx).await.unwrap();
        let Proof::Genuine(delivery) = proof else { panic!() };
        let events = provider.identify(&delivery).unwrap();
        let scopes: Vec<_> = events.iter().map(|e| &e.scope).collect();
        assert_ne!(scopes[0], scopes[1]);
        assert_eq!(scopes[0], scopes[2]);
        assert_eq!(provider.replay_token(&delivery).is_some(), has_token, "{version}");
    }
}

#[tokio::test]
async fn a_body_with_hash_padding_is_rejected_in_v1_and_v2() {
    for (version, rejected) in [("v1", true), ("v2", true), ("v3", false)] {
        let provider = subject(version).build().unwrap();
        let now = Timestamp::from_secs(1_760_000_000);
        let draft = EventDraft::new(
            String::new(),
            String::new(),
            Body::new(b"[{}]\x80\0\0 [{}]".to_vec()),
            "https://hooks.example.com/in".to_owned(),
            now,
        );
        let request = provider.signer().unwrap().sign(&draft, &Secret::new("hush")).unwrap();
        let secrets = SecretSet::from_texts(["hush"]).unwrap();
        let cx = VerifyCx::new(now, secrets.active(now), &NoKeys)
            .with_public_url("https://hooks.example.com");
        assert_eq!(prove(provider.as_ref(), request, &cx).await.is_err(), rejected, "{version}");
    }
}
