//! Runs the conformance suite and the test vectors of Twilio.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use hookward_provider_twilio::PLUGINS;
use hookward_testkit::provider::{Subject, run_vectors};
use hookward_testkit::vectors::VectorFile;

fn vectors() -> VectorFile {
    serde_json::from_str(include_str!("vectors.json")).unwrap()
}

fn subject() -> Subject {
    Subject::of(PLUGINS, "12345", "another-token")
}

/// Returns the vectors whose body is a form, or those whose body is not.
fn recordings(form: bool) -> VectorFile {
    let mut file = vectors();
    let is_form = |headers: &[(String, String)]| headers.iter().any(|(_, v)| v.contains("form"));
    file.vectors.retain(|vector| is_form(&vector.request.headers) == form);
    file
}

#[test]
fn bodies_covered_by_their_hash_keep_the_contract() {
    subject().recordings(recordings(false)).check();
}

/// A form is signed as its sorted parameters, so not every change of the body is detected.
#[test]
fn forms_keep_the_contract() {
    subject().recordings(recordings(true)).body_is_not_signed().check();
}

#[test]
fn twilio_agrees_with_every_vector() {
    run_vectors(|_| subject().build().ok(), &vectors()).assert_agrees();
}
