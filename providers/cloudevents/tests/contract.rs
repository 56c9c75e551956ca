//! Runs the conformance suite and the test vectors of the provider.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use hookward_provider_cloudevents::PLUGINS;
use hookward_testkit::provider::{Subject, run_vectors};
use hookward_testkit::vectors::VectorFile;
use serde_json::json;

fn vectors() -> VectorFile {
    serde_json::from_str(include_str!("vectors.json")).unwrap()
}

fn subject() -> Subject {
    let origins = json!({"origins": ["eventemitter.example.com", "eventgrid.azure.net"]});
    Subject::of(PLUGINS, "orchard-press", "another-press").with(origins).body_is_not_signed()
}

#[test]
fn cloudevents_keeps_the_contract() {
    subject().recordings(vectors()).check();
}

#[test]
fn cloudevents_agrees_with_every_vector() {
    run_vectors(|_| subject().build().ok(), &vectors()).assert_agrees();
}

#[test]
fn missing_and_unrestricted_origins_are_warned_about() {
    let config_warnings = |with| subject().with(with).build().unwrap().config_warnings();
    assert!(config_warnings(json!({"origins": ["a.example"]})).is_empty());
    assert!(config_warnings(json!({}))[0].contains("origins"));
    assert!(config_warnings(json!({"origins": ["*"]}))[0].contains("anyone"));
    assert!(subject().with(json!({"origins": ["https://a.example"]})).build().is_err());
}
