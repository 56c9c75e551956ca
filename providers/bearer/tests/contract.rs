//! Runs the conformance suite and the test vectors of the provider.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use hookward_provider_bearer::PLUGINS;
use hookward_testkit::provider::{Subject, run_vectors};
use hookward_testkit::vectors::VectorFile;
use serde_json::{Value, json};

fn vectors() -> VectorFile {
    serde_json::from_str(include_str!("vectors.json")).unwrap()
}

fn subject(with: Value) -> Subject {
    Subject::of(PLUGINS, "orchard-press", "another-press").with(with).body_is_not_signed()
}

fn settings() -> Value {
    json!({"event_type": "/type", "event_id": "/id"})
}

#[test]
fn bearer_keeps_the_contract() {
    subject(settings()).recordings(vectors()).check();
    subject(json!({"event_type": ["header:X-Event", "/type"], "batch": ""}))
        .samples_do_not_fit()
        .check();
    subject(Value::Null).samples_do_not_fit().check();
}

#[test]
fn bearer_agrees_with_every_vector() {
    run_vectors(|_| subject(settings()).build().ok(), &vectors()).assert_agrees();
}

#[test]
fn an_invalid_field_location_is_a_config_error() {
    let wrong = subject(json!({"event_type": "type"})).build().unwrap_err();
    assert!(wrong.contains("`type` is not a place in a request"), "{wrong}");
}
