//! Runs the conformance suite and the test vectors of Shopify.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use hookward_provider_shopify::PLUGINS;
use hookward_testkit::provider::{Subject, run_vectors};
use hookward_testkit::vectors::VectorFile;
use serde_json::json;

fn vectors() -> VectorFile {
    serde_json::from_str(include_str!("vectors.json")).unwrap()
}

fn family(scheme: &str) -> &'static str {
    match scheme {
        "shopify-auto" => "auto",
        "shopify-events" => "events",
        _ => "webhooks",
    }
}

fn subject(family: &str) -> Subject {
    let subject = Subject::of(PLUGINS, "orchard-client-secret", "another-secret");
    subject.with(json!({ "scheme": family }))
}

#[test]
fn shopify_keeps_the_contract_with_each_family() {
    for own in ["auto", "webhooks", "events"] {
        let mut recordings = vectors();
        recordings.vectors.retain(|vector| family(&vector.scheme) == own);
        subject(own).recordings(recordings).check();
    }
}

#[test]
fn shopify_agrees_with_every_vector() {
    run_vectors(|scheme| subject(family(scheme)).build().ok(), &vectors()).assert_agrees();
}
