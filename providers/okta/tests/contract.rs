//! Runs the conformance suite and the test vectors of Okta.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use hookward_provider_okta::PLUGINS;
use hookward_testkit::provider::{Subject, run_vectors};
use hookward_testkit::vectors::VectorFile;

fn vectors() -> VectorFile {
    serde_json::from_str(include_str!("vectors.json")).unwrap()
}

fn subject() -> Subject {
    Subject::of(PLUGINS, "orchard-press", "another-press").body_is_not_signed()
}

#[test]
fn okta_keeps_the_contract() {
    subject().recordings(vectors()).check();
}

#[test]
fn okta_agrees_with_every_vector() {
    run_vectors(|_| subject().build().ok(), &vectors()).assert_agrees();
}
