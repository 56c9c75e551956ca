//! HubSpot keeps the contract in each of its versions and agrees with its vectors.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::time::Duration;

use hookward_core::vectors::VectorFile;
use hookward_provider_hubspot::PLUGINS;
use hookward_testkit::provider::{Subject, run_vectors};
use serde_json::json;

fn vectors() -> VectorFile {
    serde_json::from_str(include_str!("vectors.json")).unwrap()
}

fn subject(version: &str) -> Subject {
    let tolerance = (version == "v3").then(|| Duration::from_secs(300));
    let subject = Subject::of(PLUGINS, "hush", "another-secret").tolerance(tolerance);
    subject.with(json!({ "scheme": version }))
}

#[test]
fn hubspot_keeps_the_contract_in_each_version() {
    for version in ["v1", "v2", "v3"] {
        let mut recordings = vectors();
        recordings.vectors.retain(|vector| vector.scheme.ends_with(version));
        subject(version).recordings(recordings).check();
    }
}

#[test]
fn hubspot_agrees_with_every_vector() {
    let version = |scheme: &str| scheme.trim_start_matches("hubspot-").to_owned();
    run_vectors(|scheme| subject(&version(scheme)).build().ok(), &vectors()).assert_agrees();
}
