//! Runs the conformance suite and the test vectors of each algorithm.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use hookward_provider_http_message_signatures::PLUGINS;
use hookward_testkit::provider::{Subject, run_vectors};
use hookward_testkit::vectors::VectorFile;
use serde_json::{Value, json};

const TEXT: &str = include_str!("vectors.json");
const ALGORITHMS: [&str; 6] = [
    "hmac-sha256",
    "ed25519",
    "ecdsa-p256-sha256",
    "ecdsa-p384-sha384",
    "rsa-v1_5-sha256",
    "rsa-pss-sha512",
];

/// Returns the vectors of an algorithm, which `with_alg` of each vector names.
fn vectors(alg: &str) -> VectorFile {
    let mut file: Value = serde_json::from_str(TEXT).unwrap();
    file["vectors"].as_array_mut().unwrap().retain(|vector| vector["with_alg"] == alg);
    serde_json::from_value(file).unwrap()
}

fn subject(alg: &str) -> Subject {
    let secret = match alg {
        "hmac-sha256" => "orchard-shared-secret".to_owned(),
        _ => vectors(alg).vectors[0].secret.clone(),
    };
    let other = if alg == "hmac-sha256" { "another-secret".to_owned() } else { secret.clone() };
    Subject::of(PLUGINS, &secret, &other).with(json!({ "alg": alg }))
}

#[test]
fn every_algorithm_keeps_the_contract() {
    for alg in ALGORITHMS {
        subject(alg).recordings(vectors(alg)).check();
    }
}

#[test]
fn every_algorithm_agrees_with_its_vectors() {
    for alg in ALGORITHMS {
        run_vectors(|_| subject(alg).build().ok(), &vectors(alg)).assert_agrees();
    }
}

#[test]
fn signatures_of_another_algorithm_are_rejected() {
    for (alg, other) in [("ed25519", "ecdsa-p256-sha256"), ("hmac-sha256", "ed25519")] {
        let mut file = vectors(alg);
        for vector in &mut file.vectors {
            vector.expect = hookward_testkit::vectors::Verdict::Reject;
            (vector.event_type, vector.event_id) = (None, None);
        }
        run_vectors(|_| subject(other).build().ok(), &file).assert_agrees();
    }
}

#[test]
fn label_and_keyid_select_the_signature() {
    let accepted = |with: Value| {
        let mut file = vectors("hmac-sha256");
        file.vectors.truncate(1);
        let build = |_: &str| subject("hmac-sha256").with(with.clone()).build().ok();
        run_vectors(build, &file).agree == 1
    };
    assert!(accepted(json!({ "label": "sig1", "keyid": "key-1" })));
    assert!(!accepted(json!({ "label": "sig2" })) && !accepted(json!({ "keyid": "key-2" })));
    assert!(accepted(json!({ "covers": ["@target-uri"] })));
    assert!(!accepted(json!({ "covers": ["date"] })));
}

#[test]
fn covers_without_the_host_is_warned_about() {
    let config_warnings =
        |with: Value| subject("ed25519").with(with).build().unwrap().config_warnings().len();
    assert_eq!(config_warnings(json!({ "covers": ["@method"] })), 1);
    assert_eq!(
        config_warnings(json!({ "covers": ["@authority"] })) + config_warnings(json!({})),
        0
    );
    assert!(subject("ed25519").with(json!({ "covers": ["Date"] })).build().is_err());
}
