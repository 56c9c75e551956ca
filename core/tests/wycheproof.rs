//! The test vectors of Project Wycheproof through our own proof: everything valid is accepted,
//! everything invalid refused. Where they leave a choice, or we are stricter, ours is listed below.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use hookward_core::crypto::{
    Encoding, HmacAlgorithm, ProofAlgorithm, Tag, p256_point_from_spki, rsa_key_from_spki,
};
use serde::Deserialize;

/// Vectors under one key, which is empty where each has its own.
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

/// What came out of a file.
#[derive(Debug, Default, PartialEq, Eq)]
struct Count {
    accepted: usize,
    refused: usize,
    /// Others may accept them; we do not, by choice.
    by_choice: usize,
}

fn hex(text: &str) -> Vec<u8> {
    Encoding::Hex.decode(text).unwrap()
}

/// Runs a file. `key` makes the algorithm's key from the vector's; `choice` says whether we refuse
/// what is valid or acceptable elsewhere.
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
                _ => &mut count.refused,
            };
            *place += 1;
        }
    }
    count
}

/// As it is.
fn plain(key: &[u8]) -> Option<Vec<u8>> {
    Some(key.to_vec())
}

#[test]
fn every_hmac_vector_gets_its_verdict_and_a_truncated_tag_is_never_one() {
    let of = |file: &str, alg: HmacAlgorithm| {
        // Half a tag is half the work to guess it: a tag is as long as its hash.
        run(file, ProofAlgorithm::Hmac(alg), plain, |case| case.sig.len() < 2 * alg.tag_len())
    };
    let count = |accepted, refused, by_choice| Count { accepted, refused, by_choice };
    assert_eq!(of("hmac-sha1.json", HmacAlgorithm::Sha1), count(33, 104, 33));
    assert_eq!(of("hmac-sha256.json", HmacAlgorithm::Sha256), count(33, 108, 33));
    assert_eq!(of("hmac-sha512.json", HmacAlgorithm::Sha512), count(33, 108, 33));
}

#[test]
fn every_ed25519_vector_gets_its_verdict() {
    let count = run("ed25519.json", ProofAlgorithm::Ed25519, plain, |_| false);
    assert_eq!(count, Count { accepted: 88, refused: 63, by_choice: 0 });
}

#[test]
fn every_ecdsa_vector_gets_its_verdict() {
    let key = |spki: &[u8]| p256_point_from_spki(spki).map(<[u8]>::to_vec);
    let count = run("ecdsa-p256-sha256.json", ProofAlgorithm::EcdsaP256Der, key, |_| false);
    assert_eq!(count, Count { accepted: 174, refused: 310, by_choice: 0 });
}

#[test]
fn every_ecdsa_vector_of_two_plain_numbers_gets_its_verdict() {
    let key = |spki: &[u8]| p256_point_from_spki(spki).map(<[u8]>::to_vec);
    let count = run("ecdsa-p256-sha256-p1363.json", ProofAlgorithm::EcdsaP256Fixed, key, |_| false);
    assert_eq!(count, Count { accepted: 173, refused: 89, by_choice: 0 });
}

#[test]
fn every_rsa_vector_gets_its_verdict() {
    let key = |spki: &[u8]| rsa_key_from_spki(spki).map(<[u8]>::to_vec);
    // The one that is acceptable leaves out the parameters of the hash's name: two spellings of one
    // signature, of which we take one.
    let sha256 = |case: &Case| case.result == "acceptable";
    let count = run("rsa-pkcs1-2048-sha256.json", ProofAlgorithm::RsaSha256, key, sha256);
    assert_eq!(count, Count { accepted: 9, refused: 249, by_choice: 1 });
    // All of them are merely acceptable, for their hash. Ours: senders still sign so, and a key under
    // 2048 bits is none.
    let short = |case: &Case| case.sig.len() < 512;
    let count = run("rsa-pkcs1-sha1.json", ProofAlgorithm::RsaSha1, key, short);
    assert_eq!(count, Count { accepted: 8, refused: 0, by_choice: 8 });
}
