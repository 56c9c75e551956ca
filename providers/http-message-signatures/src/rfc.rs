//! The test cases of RFC 9421, appendix B.2, whose algorithms are supported. Their messages do not
//! cover the body or are responses, so the provider would reject them: the tests check the
//! signature base and the keys.

use hookward_core::crypto::{Encoding, Tag};
use hookward_core::{Head, Secret};
use http::{HeaderMap, HeaderValue, Method};

use crate::key::{KeyAlgorithm, SecretForm};
use crate::{base, fields};

const SHARED_SECRET: &str =
    "uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ==";
const ED25519_KEY: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=
-----END PUBLIC KEY-----";
const P256_KEY: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEqIVYZVLCrPZHGHjP17CTW0/+D9Lf
w0EkjqF7xB4FivAxzic30tMM4GF+hR6Dxh71Z50VGGdldkkDXZCnTNnoXQ==
-----END PUBLIC KEY-----";

fn request() -> Head {
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("host", "example.com"),
        ("date", "Tue, 20 Apr 2021 02:07:55 GMT"),
        ("content-type", "application/json"),
        ("content-length", "18"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let target = "/foo?param=Value&Pet=dog".to_owned();
    Head::new(Method::POST, target, headers)
}

fn verifies(alg: KeyAlgorithm, secret: &str, base: &str, signature: &str) -> bool {
    let key = alg.key(&Secret::new(secret), SecretForm::Base64).unwrap();
    let algorithm = alg.algorithm();
    let tag = Tag::decode(signature, Encoding::Base64, algorithm.tag_len()).unwrap();
    algorithm.matches_any(&key, &[base.as_bytes()], &[tag])
}

fn base_of(input: &str) -> String {
    let (_, list) = fields::parse_inner_lists(input).unwrap().remove(0);
    base::check_components(&list, &request()).unwrap();
    base::signature_base(&list, &request(), "https://example.com").unwrap()
}

#[test]
fn rfc9421_b_2_5_hmac_sha256_request_verifies() {
    let base = base_of(
        r#"sig-b25=("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret""#,
    );
    assert_eq!(
        base,
        "\"date\": Tue, 20 Apr 2021 02:07:55 GMT\n\
         \"@authority\": example.com\n\
         \"content-type\": application/json\n\
         \"@signature-params\": (\"date\" \"@authority\" \"content-type\");created=1618884473;keyid=\"test-shared-secret\""
    );
    let signature = "pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=";
    assert!(verifies(KeyAlgorithm::HmacSha256, SHARED_SECRET, &base, signature));
    assert!(!verifies(
        KeyAlgorithm::HmacSha256,
        SHARED_SECRET,
        &base.replace("55 GMT", "56 GMT"),
        signature
    ));
}

#[test]
fn rfc9421_b_2_6_ed25519_request_verifies() {
    let base = base_of(
        r#"sig-b26=("date" "@method" "@path" "@authority" "content-type" "content-length");created=1618884473;keyid="test-key-ed25519""#,
    );
    let signature =
        "wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==";
    assert!(verifies(KeyAlgorithm::Ed25519, ED25519_KEY, &base, signature));
    assert!(!verifies(KeyAlgorithm::Ed25519, ED25519_KEY, &base.replace("POST", "PUT"), signature));
}

#[test]
fn rfc9421_b_2_4_ecdsa_p256_response_verifies() {
    let base = "\"@status\": 200\n\
        \"content-type\": application/json\n\
        \"content-digest\": sha-512=:mEWXIS7MaLRuGgxOBdODa3xqM1XdEvxoYhvlCFJ41QJgJc4GTsPp29l5oGX69wWdXymyU0rjJuahq4l5aGgfLQ==:\n\
        \"content-length\": 23\n\
        \"@signature-params\": (\"@status\" \"content-type\" \"content-digest\" \"content-length\");created=1618884473;keyid=\"test-key-ecc-p256\"";
    let signature =
        "wNmSUAhwb5LxtOtOpNa6W5xj067m5hFrj0XQ4fvpaCLx0NKocgPquLgyahnzDnDAUy5eCdlYUEkLIj+32oiasw==";
    assert!(verifies(KeyAlgorithm::EcdsaP256Sha256, P256_KEY, base, signature));
    assert!(!verifies(
        KeyAlgorithm::EcdsaP256Sha256,
        P256_KEY,
        &base.replace("200", "201"),
        signature
    ));
}
