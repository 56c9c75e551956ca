//! Runs the conformance suite and the test vectors of GitHub.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use hookward_provider_github::PLUGINS;
use hookward_testkit::provider::{Subject, run_vectors};
use hookward_testkit::vectors::VectorFile;
use serde_json::json;

fn vectors() -> VectorFile {
    serde_json::from_str(include_str!("vectors.json")).unwrap()
}

fn hash_of(scheme: &str) -> &'static str {
    if scheme.ends_with("sha1") { "sha1" } else { "sha256" }
}

fn subject(hash: &str) -> Subject {
    Subject::of(PLUGINS, "orchard press", "another one").with(json!({ "scheme": hash }))
}

#[test]
fn github_keeps_the_contract() {
    for hash in ["sha256", "sha1"] {
        let mut recordings = vectors();
        recordings.vectors.retain(|vector| hash_of(&vector.scheme) == hash);
        subject(hash).recordings(recordings).check();
    }
}

#[test]
fn github_agrees_with_every_vector() {
    run_vectors(|scheme| subject(hash_of(scheme)).build().ok(), &vectors()).assert_agrees();
}

#[test]
fn the_sha1_scheme_is_warned_about() {
    assert_eq!(subject("sha1").build().unwrap().config_warnings().len(), 1);
    assert!(subject("sha256").build().unwrap().config_warnings().is_empty());
}
