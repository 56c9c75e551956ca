//! Adyen keeps the contract and agrees with its vectors.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use hookward_core::vectors::VectorFile;
use hookward_provider_adyen::PLUGINS;
use hookward_testkit::provider::{Subject, run_vectors};
use serde_json::json;

const KEYS: [&str; 2] = [
    "11223344D785FBAE710E7F943F307971BB61B21281C98C9129B3D4018A57B2EB",
    "DFB1EB5485895CFA84146406857104ABB4CBCABDC8AAF103A624C8F6A3EAAB00",
];

fn vectors(scheme: &str) -> VectorFile {
    let mut file: VectorFile = serde_json::from_str(include_str!("vectors.json")).unwrap();
    file.vectors.retain(|vector| vector.scheme.starts_with(scheme));
    file
}

fn subject(way: &str) -> Subject {
    Subject::of(PLUGINS, KEYS[0], KEYS[1]).with(json!({ "scheme": way }))
}

#[test]
fn adyen_keeps_the_contract_with_its_header() {
    subject("header").recordings(vectors("adyen-header")).samples_do_not_fit().check();
    subject("auto").recordings(vectors("adyen-header")).check();
}

/// Of an item eight fields are signed; the rest of the body is anyone's.
#[test]
fn adyen_keeps_the_contract_with_its_items() {
    let items = || vectors("adyen-items");
    subject("items").recordings(items()).samples_do_not_fit().body_is_not_signed().check();
    subject("auto").recordings(items()).body_is_not_signed().check();
}

#[test]
fn adyen_agrees_with_every_vector() {
    let way = |scheme: &str| scheme.trim_start_matches("adyen-").to_owned();
    run_vectors(|scheme| subject(&way(scheme)).build().ok(), &vectors("")).assert_agrees();
    run_vectors(|_| subject("auto").build().ok(), &vectors("")).assert_agrees();
}
