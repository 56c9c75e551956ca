//! Runs the conformance suite and the test vectors of the provider.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use hookward_provider_basic::PLUGINS;
use hookward_testkit::provider::{Subject, run_vectors};
use hookward_testkit::vectors::VectorFile;
use serde_json::{Value, json};

fn vectors() -> VectorFile {
    serde_json::from_str(include_str!("vectors.json")).unwrap()
}

fn subject(with: Value) -> Subject {
    Subject::of(PLUGINS, "jo:orchard-press", "jo:another-press").with(with).body_is_not_signed()
}

fn settings() -> Value {
    json!({"event_type": "/type", "event_id": "/id"})
}

#[test]
fn basic_keeps_the_contract() {
    subject(settings()).recordings(vectors()).check();
    subject(json!({"user": "joan", "event_type": "header:X-Event"})).samples_do_not_fit().check();
}

#[test]
fn basic_agrees_with_every_vector() {
    run_vectors(|_| subject(settings()).build().ok(), &vectors()).assert_agrees();
}

#[test]
fn a_user_with_a_colon_is_a_config_error() {
    assert!(subject(json!({"user": "a:b"})).build().unwrap_err().contains("colon"));
}
