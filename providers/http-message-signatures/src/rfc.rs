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

/// `test-key-rsa-pss` of appendix B.1.2.
const RSA_PSS_KEY: &str = "-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAr4tmm3r20Wd/PbqvP1s2
+QEtvpuRaV8Yq40gjUR8y2Rjxa6dpG2GXHbPfvMs8ct+Lh1GH45x28Rw3Ry53mm+
oAXjyQ86OnDkZ5N8lYbggD4O3w6M6pAvLkhk95AndTrifbIFPNU8PPMO7OyrFAHq
gDsznjPFmTOtCEcN2Z1FpWgchwuYLPL+Wokqltd11nqqzi+bJ9cvSKADYdUAAN5W
Utzdpiy6LbTgSxP7ociU4Tn0g5I6aDZJ7A8Lzo0KSyZYoA485mqcO0GVAdVw9lq4
aOT9v6d+nb4bnNkQVklLQ3fVAvJm+xdDOp9LCNCN48V2pnDOkFV6+U9nV5oyc6XI
2wIDAQAB
-----END PUBLIC KEY-----";

fn request() -> Head {
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("host", "example.com"),
        ("date", "Tue, 20 Apr 2021 02:07:55 GMT"),
        ("content-type", "application/json"),
        (
            "content-digest",
            "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:",
        ),
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
fn rfc9421_b_2_1_rsa_pss_request_verifies() {
    let base = base_of(
        r#"sig-b21=();created=1618884473;keyid="test-key-rsa-pss";nonce="b3k2pp5k7z-50gnwp.yemd""#,
    );
    let signature = "d2pmTvmbncD3xQm8E9ZV2828BjQWGgiwAaw5bAkgibUopemLJcWDy/lkbbHAve4cRAtx31Iq786U7it++wgGxbtRxf8Udx7zFZsckzXaJMkA7ChG52eSkFxykJeNqsrWH5S+oxNFlD4dzVuwe8DhTSja8xxbR/Z2cOGdCbzR72rgFWhzx2VjBqJzsPLMIQKhO4DGezXehhWwE56YCE+O6c0mKZsfxVrogUvA4HELjVKWmAvtl6UnCh8jYzuVG5WSb/QEVPnP5TmcAnLH1g+s++v6d4s8m0gCw1fV5/SITLq9mhho8K3+7EPYTU8IU1bLhdxO5Nyt8C8ssinQ98Xw9Q==";
    assert!(verifies(KeyAlgorithm::RsaPssSha512, RSA_PSS_KEY, &base, signature));
    assert!(!verifies(
        KeyAlgorithm::RsaPssSha512,
        RSA_PSS_KEY,
        &base.replace("b3k2", "b3k3"),
        signature
    ));
    assert!(!verifies(KeyAlgorithm::RsaV15Sha256, RSA_PSS_KEY, &base, signature));
}

#[test]
fn rfc9421_b_2_2_rsa_pss_request_with_a_query_parameter_verifies() {
    let base = base_of(
        r#"sig-b22=("@authority" "content-digest" "@query-param";name="Pet");created=1618884473;keyid="test-key-rsa-pss";tag="header-example""#,
    );
    let signature = "LjbtqUbfmvjj5C5kr1Ugj4PmLYvx9wVjZvD9GsTT4F7GrcQEdJzgI9qHxICagShLRiLMlAJjtq6N4CDfKtjvuJyE5qH7KT8UCMkSowOB4+ECxCmT8rtAmj/0PIXxi0A0nxKyB09RNrCQibbUjsLS/2YyFYXEu4TRJQzRw1rLEuEfY17SARYhpTlaqwZVtR8NV7+4UKkjqpcAoFqWFQh62s7Cl+H2fjBSpqfZUJcsIk4N6wiKYd4je2U/lankenQ99PZfB4jY3I5rSV2DSBVkSFsURIjYErOs0tFTQosMTAoxk//0RoKUqiYY8Bh0aaUEb0rQl3/XaVe4bXTugEjHSw==";
    assert!(verifies(KeyAlgorithm::RsaPssSha512, RSA_PSS_KEY, &base, signature));
    assert!(!verifies(
        KeyAlgorithm::RsaPssSha512,
        RSA_PSS_KEY,
        &base.replace("dog", "cat"),
        signature
    ));
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
