//! Runs the conformance suite and the test vectors of the provider.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use hookward_provider_standard_webhooks::PLUGINS;
use hookward_testkit::provider::{Subject, run_vectors};
use hookward_testkit::vectors::{Vector, VectorFile, Verdict};
use serde_json::json;

/// Those of the shared secret; the others are `asymmetric()`.
fn vectors() -> VectorFile {
    let mut file: VectorFile = serde_json::from_str(include_str!("vectors.json")).unwrap();
    file.vectors.retain(|vector| !vector.scheme.ends_with("v1a"));
    file
}

fn asymmetric() -> VectorFile {
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

/// Of this sender only the public key is known here, so its recordings are all there is.
fn public() -> Subject {
    let (own, other) = (
        "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=",
        "whpk_A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=",
    );
    Subject::of(PLUGINS, own, other).with(json!({ "version": "v1a" }))
}

#[test]
fn the_asymmetric_version_keeps_the_contract_and_agrees_with_every_vector() {
    public().recordings(asymmetric()).check();
    run_vectors(|_| public().build().ok(), &asymmetric()).assert_agrees();
}

#[test]
fn a_version_is_never_proven_by_the_other() {
    let accepted = |mut file: VectorFile| {
        file.vectors.retain(|v| v.expect == Verdict::Accept);
        for vector in &mut file.vectors {
            vector.expect = Verdict::Reject;
            (vector.event_type, vector.event_id) = (None, None);
        }
        file
    };
    run_vectors(|_| public().build().ok(), &accepted(vectors())).assert_agrees();
    run_vectors(|_| subject().build().ok(), &accepted(asymmetric())).assert_agrees();
}

#[test]
fn one_family_alone_keeps_the_contract_and_refuses_the_other() {
    for (family, other) in [("webhook", "svix"), ("svix", "webhook")] {
        let subject = || subject().with(json!({ "headers": family }));
        let mut recordings = vectors();
        recordings.vectors.retain(|v| names(v, family));
        subject().recordings(recordings).check();

        let mut foreign = vectors();
        foreign.vectors.retain(|v| v.expect == Verdict::Accept && names(v, other));
        for vector in &mut foreign.vectors {
            vector.expect = Verdict::Reject;
            (vector.event_type, vector.event_id) = (None, None);
        }
        run_vectors(|_| subject().build().ok(), &foreign).assert_agrees();
    }
}

/// Whether the headers of this vector are of this family.
fn names(vector: &Vector, family: &str) -> bool {
    vector.request.headers.iter().any(|(name, _)| name.starts_with(family))
}
