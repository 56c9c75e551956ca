//! Runs the conformance suite and the test vectors of Google Cloud Pub/Sub.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use hookward_provider_google_pubsub::PLUGINS;
use hookward_testkit::provider::{Subject, run_vectors};
use hookward_testkit::vectors::VectorFile;
use serde_json::json;

fn vectors() -> VectorFile {
    serde_json::from_str(include_str!("vectors.json")).unwrap()
}

fn subject() -> Subject {
    Subject::of(PLUGINS, "unused-secret", "unused-secret-too").body_is_not_signed().with(json!({
        "audience": "https://hooks.example.com/in/1",
        "email": "pubsub@myproject.iam.gserviceaccount.com",
    }))
}

#[test]
fn google_pubsub_keeps_the_contract() {
    subject().recordings(vectors()).check();
}

#[test]
fn google_pubsub_agrees_with_every_vector() {
    run_vectors(|_| subject().build().ok(), &vectors()).assert_agrees();
}

#[test]
fn without_settings_the_audience_is_the_url_and_warnings_are_reported() {
    let without_settings = subject().with(json!({}));
    let mut file = vectors();
    // The vectors' audience is their URL. Without `email` the service account is not checked.
    let accounts = ["pubsub-own-email", "pubsub-own-noemail"];
    file.vectors.retain(|v| !accounts.contains(&v.id.as_str()));
    run_vectors(|_| without_settings.build().ok(), &file).assert_agrees();
    let config_warnings = without_settings.build().unwrap().config_warnings();
    assert!(
        config_warnings[0].contains("set `email`") && config_warnings[1].contains("set `audience`")
    );
    assert!(subject().build().unwrap().config_warnings().is_empty());
}

#[test]
fn ids_in_the_body_count_as_signed_like_those_beside_any_token() {
    let provider = subject().build().unwrap();
    let vector = vectors().vectors.into_iter().find(|v| v.id == "pubsub-own-valid").unwrap();
    let keys = vector.inputs.fixed_keys().unwrap();
    let secrets = vector.secret_set().unwrap();
    let now = hookward_core::Timestamp::from_secs(vector.now_unix.unwrap());
    let cx = hookward_core::VerifyCx::new(now, secrets.active(now), &keys);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let request = vector.request.to_request().unwrap();
    let proof = runtime.block_on(hookward_core::prove(&*provider, request, &cx)).unwrap();
    let hookward_core::Proof::Genuine(delivery) = proof else { panic!() };
    let event = provider.identify(&delivery).unwrap().remove(0);
    assert!(event.event_id.unwrap().signed);
}
