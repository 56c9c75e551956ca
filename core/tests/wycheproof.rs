//! The test vectors of Project Wycheproof (https://github.com/C2SP/wycheproof), run through
//! `hookward_core::crypto`: all valid ones are accepted and all invalid ones rejected. Where a vector is
//! "acceptable", or Hookward is stricter, the test lists the choice.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use hookward_core::crypto::{
    Encoding, HmacAlgorithm, ProofAlgorithm, Tag, p256_point_from_spki, rsa_key_from_spki,
};
use serde::Deserialize;

/// Vectors under one key; the key is empty where each vector has its own.
#[derive(Deserialize)]
struct Group {
    key: String,
    tests: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    #[serde(rename = "tcId")]
    id: u32,
    comment: String,
    #[serde(default)]
    flags: Vec<String>,
    #[serde(default)]
    key: String,
    msg: String,
    #[serde(alias = "tag")]
    sig: String,
    result: String,
}

/// Number of vectors of a file by outcome.
#[derive(Debug, Default, PartialEq, Eq)]
struct Count {
    accepted: usize,
    rejected: usize,
    /// Rejected although the vector is valid or acceptable.
    by_choice: usize,
}

fn hex(text: &str) -> Vec<u8> {
    Encoding::Hex.decode(text).unwrap()
}

/// Runs a file. `key` converts the vector's key to the algorithm's form; `choice` says whether Hookward
/// rejects a vector that is valid or acceptable.
fn run(
    file: &str,
    alg: ProofAlgorithm,
    key: impl Fn(&[u8]) -> Option<Vec<u8>>,
    choice: impl Fn(&Case) -> bool,
) -> Count {
    let path = format!("{}/tests/wycheproof/{file}", env!("CARGO_MANIFEST_DIR"));
    let groups: Vec<Group> = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let mut count = Count::default();
    for group in &groups {
        for case in &group.tests {
            let shared = if group.key.is_empty() { &case.key } else { &group.key };
            let tag = Tag::decode(&case.sig, Encoding::Hex, alg.tag_len());
            let accepted = match (key(&hex(shared)), tag) {
                (Some(key), Some(tag)) => alg.matches_any(&key, &[&hex(&case.msg)], &[tag]),
                _ => false,
            };
            let chosen = case.result != "invalid" && choice(case);
            let wanted = match case.result.as_str() {
                "invalid" => false,
                "valid" | "acceptable" => !chosen,
                other => panic!("{file}: {other}"),
            };
            assert_eq!(
                accepted, wanted,
                "{file} {}: {} {:?} ({})",
                case.id, case.comment, case.flags, case.result
            );
            let place = match (accepted, chosen) {
                (true, _) => &mut count.accepted,
                (_, true) => &mut count.by_choice,
                _ => &mut count.rejected,
            };
            *place += 1;
        }
    }
    count
}

/// For algorithms whose key has the vector's form.
fn plain(key: &[u8]) -> Option<Vec<u8>> {
    Some(key.to_vec())
}

#[test]
fn every_hmac_vector_gets_its_verdict_and_truncated_tags_are_rejected() {
    let run_hmac = |file: &str, alg: HmacAlgorithm| {
        // Half a tag is far easier to guess, so a tag must be as long as its hash.
        run(file, ProofAlgorithm::Hmac(alg), plain, |case| case.sig.len() < 2 * alg.tag_len())
    };
    let count = |accepted, rejected, by_choice| Count { accepted, rejected, by_choice };
    assert_eq!(run_hmac("hmac-sha1.json", HmacAlgorithm::Sha1), count(33, 104, 33));
    assert_eq!(run_hmac("hmac-sha256.json", HmacAlgorithm::Sha256), count(33, 108, 33));
    assert_eq!(run_hmac("hmac-sha512.json", HmacAlgorithm::Sha512), count(33, 108, 33));
}

#[test]
fn every_ed25519_vector_gets_its_verdict() {
    let count = run("ed25519.json", ProofAlgorithm::Ed25519, plain, |_| false);
    assert_eq!(count, Count { accepted: 88, rejected: 63, by_choice: 0 });
}

#[test]
fn every_ecdsa_vector_in_der_gets_its_verdict() {
    let key = |spki: &[u8]| p256_point_from_spki(spki).map(<[u8]>::to_vec);
    let count = run("ecdsa-p256-sha256.json", ProofAlgorithm::EcdsaP256Der, key, |_| false);
    assert_eq!(count, Count { accepted: 174, rejected: 310, by_choice: 0 });
}

#[test]
fn every_ecdsa_vector_of_fixed_length_gets_its_verdict() {
    let key = |spki: &[u8]| p256_point_from_spki(spki).map(<[u8]>::to_vec);
    let count = run("ecdsa-p256-sha256-p1363.json", ProofAlgorithm::EcdsaP256Fixed, key, |_| false);
    assert_eq!(count, Count { accepted: 173, rejected: 89, by_choice: 0 });
}

#[test]
fn every_rsa_vector_gets_its_verdict() {
    let key = |spki: &[u8]| rsa_key_from_spki(spki).map(<[u8]>::to_vec);
    // The acceptable vector omits the NULL parameters of the hash's identifier. Accepting it would give
    // one signature two encodings.
    let sha256 = |case: &Case| case.result == "acceptable";
    let count = run("rsa-pkcs1-2048-sha256.json", ProofAlgorithm::RsaSha256, key, sha256);
    assert_eq!(count, Count { accepted: 9, rejected: 249, by_choice: 1 });
    // All are only acceptable, because of SHA-1. Some senders still use it, so they are accepted, but not
    // under keys of less than 2048 bits.
    let short = |case: &Case| case.sig.len() < 512;
    let count = run("rsa-pkcs1-sha1.json", ProofAlgorithm::RsaSha1, key, short);
    assert_eq!(count, Count { accepted: 8, rejected: 0, by_choice: 8 });
}
