//! Runs the conformance suite and the test vectors of Contentful.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::time::Duration;

use hookward_provider_contentful::PLUGINS;
use hookward_testkit::provider::{Subject, run_vectors};
use hookward_testkit::vectors::VectorFile;

fn vectors() -> VectorFile {
    serde_json::from_str(include_str!("vectors.json")).unwrap()
}

fn subject() -> Subject {
    Subject::of(PLUGINS, &"a".repeat(64), &"b".repeat(64))
        .tolerance(Some(Duration::from_secs(30)))
        .future_tolerance(Duration::from_secs(300))
}

#[test]
fn contentful_keeps_the_contract() {
    subject().recordings(vectors()).check();
}

#[test]
fn contentful_agrees_with_every_vector() {
    run_vectors(|_| subject().build().ok(), &vectors()).assert_agrees();
}
