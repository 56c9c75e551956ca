//! Runs the conformance suite and the test vectors of Discord.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use hookward_provider_discord::PLUGINS;
use hookward_testkit::provider::{Subject, run_vectors};
use hookward_testkit::vectors::VectorFile;

fn vectors() -> VectorFile {
    serde_json::from_str(include_str!("vectors.json")).unwrap()
}

fn subject() -> Subject {
    Subject::of(
        PLUGINS,
        "3aad766bea21c5c907c0325f2541cf9cea58a35df6b276769059218baa71ef11",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
    )
}

#[test]
fn discord_keeps_the_contract() {
    subject().recordings(vectors()).check();
}

#[test]
fn discord_agrees_with_every_vector() {
    run_vectors(|_| subject().build().ok(), &vectors()).assert_agrees();
}
