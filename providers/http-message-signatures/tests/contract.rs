//! The provider keeps the contract and agrees with its vectors, in each algorithm.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use hookward_provider_http_message_signatures::PLUGINS;
use hookward_testkit::provider::{Subject, run_vectors};
use hookward_testkit::vectors::VectorFile;
use serde_json::{Value, json};

const TEXT: &str = include_str!("vectors.json");
const ALGORITHMS: [&str; 4] = ["hmac-sha256", "ed25519", "ecdsa-p256-sha256", "rsa-v1_5-sha256"];

/// The vectors that are signed with an algorithm: each says with which, in `with_alg`.
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
fn message_signatures_keep_the_contract_in_each_algorithm() {
    for alg in ALGORITHMS {
        subject(alg).recordings(vectors(alg)).check();
    }
}

#[test]
fn message_signatures_agree_with_every_vector() {
    for alg in ALGORITHMS {
        run_vectors(|_| subject(alg).build().ok(), &vectors(alg)).assert_agrees();
    }
}

#[test]
fn a_signature_counts_under_the_algorithm_that_is_configured_alone() {
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
fn label_and_keyid_pick_the_signature_that_counts() {
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
fn a_configuration_that_leaves_the_host_open_is_warned_of() {
    let config_warnings =
        |with: Value| subject("ed25519").with(with).build().unwrap().config_warnings().len();
    assert_eq!(config_warnings(json!({ "covers": ["@method"] })), 1);
    assert_eq!(
        config_warnings(json!({ "covers": ["@authority"] })) + config_warnings(json!({})),
        0
    );
    assert!(subject("ed25519").with(json!({ "covers": ["Date"] })).build().is_err());
}
