//! Runs the conformance suite and the test vectors of the provider.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use hookward_provider_standard_webhooks::PLUGINS;
use hookward_testkit::provider::{Subject, run_vectors};
use hookward_testkit::vectors::{Vector, VectorFile, Verdict};
use serde_json::json;

/// Returns the vectors with a shared secret; the others are `asymmetric_vectors()`.
fn vectors() -> VectorFile {
    let mut file: VectorFile = serde_json::from_str(include_str!("vectors.json")).unwrap();
    file.vectors.retain(|vector| !vector.scheme.ends_with("v1a"));
    file
}

fn asymmetric_vectors() -> VectorFile {
    let mut file: VectorFile = serde_json::from_str(include_str!("vectors.json")).unwrap();
    file.vectors.retain(|vector| vector.scheme.ends_with("v1a"));
    file
}

fn subject() -> Subject {
    Subject::of(
        PLUGINS,
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "whsec_b3JjaGFyZC1wcmVzcy1vcmNoYXJkLXByZXNz",
    )
}

#[test]
fn standard_webhooks_keeps_the_contract() {
    subject().recordings(vectors()).check();
}

#[test]
fn standard_webhooks_agrees_with_every_vector() {
    run_vectors(|_| subject().build().ok(), &vectors()).assert_agrees();
}

/// Only the public key of this sender is known, so the suite uses its recordings only.
fn asymmetric_subject() -> Subject {
    let (own, other) = (
        "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=",
        "whpk_A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=",
    );
    Subject::of(PLUGINS, own, other).with(json!({ "version": "v1a" }))
}

#[test]
fn the_asymmetric_version_keeps_the_contract_and_agrees_with_every_vector() {
    asymmetric_subject().recordings(asymmetric_vectors()).check();
    run_vectors(|_| asymmetric_subject().build().ok(), &asymmetric_vectors()).assert_agrees();
}

#[test]
fn signatures_of_the_other_version_are_rejected() {
    let accepted = |mut file: VectorFile| {
        file.vectors.retain(|v| v.expect == Verdict::Accept);
        for vector in &mut file.vectors {
            vector.expect = Verdict::Reject;
            (vector.event_type, vector.event_id) = (None, None);
        }
        file
    };
    run_vectors(|_| asymmetric_subject().build().ok(), &accepted(vectors())).assert_agrees();
    run_vectors(|_| subject().build().ok(), &accepted(asymmetric_vectors())).assert_agrees();
}

#[test]
fn a_configured_family_keeps_the_contract_and_rejects_the_other() {
    for (family, other) in [("webhook", "svix"), ("svix", "webhook")] {
        let subject = || subject().with(json!({ "headers": family }));
        let mut recordings = vectors();
        recordings.vectors.retain(|v| uses_family(v, family));
        subject().recordings(recordings).check();

        let mut foreign = vectors();
        foreign.vectors.retain(|v| v.expect == Verdict::Accept && uses_family(v, other));
        for vector in &mut foreign.vectors {
            vector.expect = Verdict::Reject;
            (vector.event_type, vector.event_id) = (None, None);
        }
        run_vectors(|_| subject().build().ok(), &foreign).assert_agrees();
    }
}

/// Returns whether a vector uses a family of headers.
fn uses_family(vector: &Vector, family: &str) -> bool {
    vector.request.headers.iter().any(|(name, _)| name.starts_with(family))
}
