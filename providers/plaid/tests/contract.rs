//! Runs the conformance suite and the test vectors of Plaid.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::path::Path;
use std::sync::Mutex;

use async_trait::async_trait;
use hookward_core::keys::{KeyDocument, KeyRequest};
use hookward_core::plugin::{BuildCx, Plugin};
use hookward_core::{
    KeySource, Proof, Provider, SecretSet, Timestamp, VerifyCx, VerifyError, prove,
};
use hookward_provider_plaid::PLUGINS;
use hookward_testkit::provider::{Subject, run_vectors};
use hookward_testkit::vectors::VectorFile;
use serde_json::{Value, json};

fn vectors() -> VectorFile {
    serde_json::from_str(include_str!("vectors.json")).unwrap()
}

fn subject() -> Subject {
    Subject::of(PLUGINS, "unused-secret", "unused-secret-too").samples_do_not_fit()
}

#[test]
fn plaid_keeps_the_contract() {
    subject().recordings(vectors()).check();
}

#[test]
fn plaid_agrees_with_every_vector() {
    run_vectors(|_| subject().build().ok(), &vectors()).assert_agrees();
}

/// A key source that records its requests.
#[derive(Debug)]
struct RecordingKeys(Mutex<Vec<KeyRequest>>, Value);

#[async_trait]
impl KeySource for RecordingKeys {
    async fn fetch(&self, want: &KeyRequest) -> Result<KeyDocument, VerifyError> {
        self.0.lock().unwrap().push(want.clone());
        let document = json!({ "key": self.1, "request_id": "x" }).to_string();
        Ok(KeyDocument::fetched(document, Timestamp::from_secs(0)))
    }

    async fn confirm(&self, _: &str) -> Result<(), VerifyError> {
        panic!("Plaid confirms nothing")
    }
}

#[tokio::test]
async fn the_key_is_fetched_by_id_with_the_credentials_from_the_environments_host() {
    let Plugin::Provider(descriptor) = PLUGINS[0] else { panic!() };
    let cx = BuildCx::new(Path::new("."), "plaid");
    let with = json!({ "environment": "sandbox", "client_id": "c1", "secret": "s3cret-of-plaid" });
    let provider = (descriptor.build)(with, &cx).unwrap();
    assert!(provider.config_warnings().is_empty());
    let file = vectors();
    let vector = file.vectors.iter().find(|v| v.id == "plaid-001").unwrap();
    let source = RecordingKeys(Mutex::default(), vector.inputs.jwk.clone().unwrap());
    let secrets = SecretSet::from_texts(Option::<String>::None).unwrap();
    let now = Timestamp::from_secs(1_760_000_000);
    let cx = VerifyCx::new(now, secrets.active(now), &source);
    let proof = prove(&*provider, vector.request.to_request().unwrap(), &cx).await;
    let Ok(Proof::Genuine(delivery)) = proof else { panic!("{proof:?}") };
    // The same bytes again are a new event; the same token again is a duplicate, in either encoding
    // of its signature.
    assert!(!provider.dedupe_by_content());
    let token = provider.replay_token(&delivery).unwrap();
    let whole = delivery.header("plaid-verification").unwrap();
    assert!(whole.starts_with(&format!("{token}.")) && token.matches('.').count() == 1);
    let requests = source.0.lock().unwrap();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].url, "https://sandbox.plaid.com/webhook_verification_key/get");
    let body: Value = serde_json::from_slice(&requests[0].post.as_ref().unwrap().0).unwrap();
    let kid = "bfbd5111-8e33-4643-8ced-b2e642a72f3c";
    assert_eq!(body, json!({ "client_id": "c1", "secret": "s3cret-of-plaid", "key_id": kid }));
    assert!(!format!("{provider:?} {requests:?}").contains("s3cret-of-plaid"));
}

#[test]
fn incomplete_credentials_are_config_errors_and_missing_ones_are_warned_about() {
    let Plugin::Provider(descriptor) = PLUGINS[0] else { panic!() };
    let cx = BuildCx::new(Path::new("."), "plaid");
    let build =
        |with: Value| -> Result<std::sync::Arc<dyn Provider>, _> { (descriptor.build)(with, &cx) };
    assert_eq!(build(json!({ "client_id": "c" })).unwrap_err().at, "/secret");
    assert_eq!(build(json!({ "secret": "s" })).unwrap_err().at, "/client_id");
    assert!(build(json!({})).unwrap().config_warnings()[0].contains("client_id"));
}
