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

/// The recordings whose body is a form, or is not.
fn recordings(form: bool) -> VectorFile {
    let mut file = vectors();
    let is_form = |headers: &[(String, String)]| headers.iter().any(|(_, v)| v.contains("form"));
    file.vectors.retain(|vector| is_form(&vector.request.headers) == form);
    file
}

#[test]
fn twilio_keeps_the_contract_with_bodies_bound_by_their_hash() {
    subject().recordings(recordings(false)).check();
}

/// A form is signed as its sorted parameters: the same ones written otherwise are the same delivery.
#[test]
fn twilio_keeps_the_contract_with_forms() {
    subject().recordings(recordings(true)).body_is_not_signed().check();
}

#[test]
fn twilio_agrees_with_every_vector() {
    run_vectors(|_| subject().build().ok(), &vectors()).assert_agrees();
}
