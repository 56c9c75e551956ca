//! Tokens signed with test keys, right and wrong in each part.

use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use data_encoding::BASE64;
use ring::rand::SystemRandom;
use ring::rsa::PublicKeyComponents;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
};
use serde_json::json;

use super::*;
use crate::clock::Timestamp;
use crate::keys::{FixedKeys, KeySource, NoKeys};
use crate::secret::SecretSet;

const NOW: Timestamp = Timestamp::from_secs(1_760_000_000);

fn pkcs8(text: &str) -> Vec<u8> {
    let joined: String = text.split_whitespace().collect();
    BASE64.decode(joined.as_bytes()).unwrap()
}

fn rsa() -> RsaKeyPair {
    RsaKeyPair::from_pkcs8(&pkcs8(include_str!("../../../tests/keys/rsa.pk8.b64"))).unwrap()
}

fn p256() -> EcdsaKeyPair {
    let key = pkcs8(include_str!("../../../tests/keys/p256.pk8.b64"));
    EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &key, &SystemRandom::new()).unwrap()
}

fn b64(bytes: &[u8]) -> String {
    BASE64URL_NOPAD.encode(bytes)
}

fn rsa_jwk() -> Value {
    let public: PublicKeyComponents<Vec<u8>> = rsa().public().into();
    let (n, e) = (b64(&public.n), b64(&public.e));
    json!({ "kty": "RSA", "kid": "r", "alg": "RS256", "use": "sig", "n": n, "e": e })
}

fn ec_jwk() -> Value {
    let key = p256();
    let point = key.public_key().as_ref();
    json!({ "kty": "EC", "crv": "P-256", "kid": "e", "x": b64(&point[1..33]), "y": b64(&point[33..]) })
}

fn set() -> Jwks {
    Jwks::parse(json!({ "keys": [rsa_jwk(), ec_jwk()] }).to_string().as_bytes()).unwrap()
}

/// A token with this header and payload, signed with RSA where the header contains `RS`, otherwise
/// with ECDSA.
fn sign(header: &str, payload: &str) -> String {
    let signed = format!("{}.{}", b64(header.as_bytes()), b64(payload.as_bytes()));
    let random = SystemRandom::new();
    let signature = if header.contains("RS") {
        let mut out = vec![0; 256];
        rsa().sign(&RSA_PKCS1_SHA256, &random, signed.as_bytes(), &mut out).unwrap();
        out
    } else {
        p256().sign(&random, signed.as_bytes()).unwrap().as_ref().to_vec()
    };
    format!("{signed}.{}", b64(&signature))
}

fn prove(token: &str) -> Result<Claims, VerifyError> {
    Token::parse(token)?.verify_signature(&set())
}

#[test]
fn tokens_of_both_algorithms_are_verified_and_changed_or_truncated_ones_rejected() {
    for header in
        [r#"{"alg":"RS256","kid":"r"}"#, r#"{"alg":"ES256","kid":"e"}"#, r#"{"alg":"ES256"}"#]
    {
        let token = sign(header, r#"{"sub":"a"}"#);
        assert_eq!(prove(&token).unwrap().non_empty_str("sub"), Some("a"), "{header}");
        for at in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(prove(&changed).is_err(), "{header} at {at}");
            assert!(prove(&token[..at]).is_err(), "{header} cut at {at}");
        }
    }
}

#[test]
fn a_token_cannot_choose_an_algorithm_that_its_key_is_not_for() {
    let mac = |header: &str, key: &[u8]| {
        let signed = format!("{}.{}", b64(header.as_bytes()), b64(b"{}"));
        let tag = ProofAlgorithm::Hmac(crate::crypto::HmacAlgorithm::Sha256)
            .tag(key, &[signed.as_bytes()]);
        format!("{signed}.{}", b64(&tag.unwrap()))
    };
    let PublicKey::Rsa(public) = set().0[0].key.clone() else { panic!() };
    let hostile = [
        format!("{}.{}.", b64(br#"{"alg":"none"}"#), b64(b"{}")),
        format!("{}.{}.", b64(br#"{"alg":"RS256"}"#), b64(b"{}")),
        mac(r#"{"alg":"HS256","kid":"r"}"#, &public),
        mac(r#"{"alg":"RS256","kid":"r"}"#, &public),
        sign(r#"{"alg":"ES256","kid":"r"}"#, "{}"),
        sign(r#"{"alg":"RS256","kid":"e"}"#, "{}"),
        sign(r#"{"alg":"ES256","kid":"other"}"#, "{}"),
        sign(r#"{"alg":"RS512","kid":"r"}"#, "{}"),
        sign(r#"{"alg":["ES256"]}"#, "{}"),
        sign(r#"{"alg":"ES256","alg":"ES256"}"#, "{}"),
        sign(r#"{"alg":"ES256","crit":["exp"]}"#, "{}"),
        sign(r#"{"alg":"ES256","b64":false}"#, "{}"),
        sign(r#"{"alg":"ES256","kid":""}"#, "{}"),
        sign(r#"{"alg":"ES256","kid":7}"#, "{}"),
        sign(&format!(r#"{{"alg":"ES256","kid":"{}"}}"#, "k".repeat(300)), "{}"),
        sign(&format!(r#"{{"alg":"ES256","x":"{}"}}"#, "k".repeat(4000)), "{}"),
        sign(r#"{"alg":"ES256"}"#, &format!("{{\"a\":\"{}\"}}", "a".repeat(13_000))),
        sign(r#"{"alg":"ES256"}"#, "[]"),
        sign(r#"{"alg":"ES256"}"#, r#"{"aud":"a","aud":"b"}"#),
        sign(r#"["ES256"]"#, "{}"),
    ];
    for token in &hostile {
        assert!(prove(token).is_err(), "{token}");
    }
    for text in ["", ".", "..", "...", "a.b.c", "e30.e30.", "e30.e30", "é.é.é", "e30..e30"] {
        assert!(prove(text).is_err(), "{text}");
    }
    let good = sign(r#"{"alg":"ES256"}"#, "{}");
    for text in [format!("{good}="), format!(" {good}"), format!("{good}.e30"), format!("{good}\n")]
    {
        assert!(prove(&text).is_err(), "{text}");
    }
}

#[test]
fn an_all_zero_ecdsa_signature_is_rejected() {
    let signed = format!("{}.{}", b64(br#"{"alg":"ES256"}"#), b64(b"{}"));
    assert!(prove(&format!("{signed}.{}", b64(&[0; 64]))).is_err());
}

fn rules() -> TokenRules {
    TokenRules::new([JwtAlgorithm::Rs256, JwtAlgorithm::Es256])
        .issuers(["https://a.example", "a.example"])
        .audiences(["me"])
        .require_expiry()
        .expiry_leeway(Duration::from_secs(10))
        .future_leeway(Duration::from_secs(60))
        .max_age(Some(Duration::from_secs(300)))
}

#[test]
fn times_issuer_and_audience_of_a_token_are_checked_at_the_given_time() {
    let now = NOW.as_secs();
    let good = json!({ "iss": "a.example", "aud": "me", "exp": now + 1, "iat": now - 300, "nbf": now + 60 });
    let check = |change: Value| {
        let Value::Object(mut claims) = good.clone() else { panic!() };
        for (name, value) in change.as_object().unwrap() {
            match value {
                Value::Null => drop(claims.remove(name)),
                value => drop(claims.insert(name.clone(), value.clone())),
            }
        }
        Claims::new(claims).check(&rules(), NOW).map_err(|e| e.code())
    };
    assert_eq!(check(json!({})), Ok(()));
    assert_eq!(check(json!({ "aud": ["you", "me"], "iss": "https://a.example" })), Ok(()));
    assert_eq!(check(json!({ "exp": now - 9, "iat": now as f64 + 0.5 })), Ok(()));
    assert_eq!(check(json!({ "nbf": null })), Ok(()));
    for (change, code) in [
        (json!({ "exp": now - 10 }), "TIMESTAMP_TOO_OLD"),
        (json!({ "iat": now - 301 }), "TIMESTAMP_TOO_OLD"),
        (json!({ "iat": now + 61 }), "TIMESTAMP_IN_FUTURE"),
        (json!({ "nbf": now + 61 }), "TIMESTAMP_IN_FUTURE"),
        (json!({ "exp": null }), "INVALID_SIGNATURE"),
        (json!({ "iat": null }), "INVALID_SIGNATURE"),
        (json!({ "aud": "you" }), "INVALID_SIGNATURE"),
        (json!({ "aud": [] }), "INVALID_SIGNATURE"),
        (json!({ "aud": null }), "INVALID_SIGNATURE"),
        (json!({ "iss": "b.example" }), "INVALID_SIGNATURE"),
        (json!({ "iss": ["a.example"] }), "INVALID_SIGNATURE"),
        (json!({ "iss": null }), "INVALID_SIGNATURE"),
        (json!({ "exp": "tomorrow" }), "INVALID_FORMAT"),
        (json!({ "exp": 1e300 }), "INVALID_FORMAT"),
        (json!({ "exp": u64::MAX }), "INVALID_FORMAT"),
    ] {
        assert_eq!(check(change.clone()), Err(code), "{change}");
    }
}

/// Serves the first set once and the second from then on; records the requests.
#[derive(Debug)]
struct RotatedKeys {
    asked: Mutex<Vec<KeyRequest>>,
    sets: [Value; 2],
}

#[async_trait]
impl KeySource for RotatedKeys {
    async fn fetch(&self, want: &KeyRequest) -> Result<KeyDocument, VerifyError> {
        let mut asked = self.asked.lock().unwrap();
        asked.push(want.clone());
        let set = &self.sets[asked.len().min(2) - 1];
        Ok(KeyDocument::fetched(json!({ "keys": [set] }).to_string(), NOW))
    }

    async fn confirm(&self, _: &str) -> Result<(), VerifyError> {
        panic!()
    }
}

/// Serves a set that it fetched a moment ago, however new a copy is wanted.
#[derive(Debug)]
struct JustFetched(Value);

#[async_trait]
impl KeySource for JustFetched {
    async fn fetch(&self, _: &KeyRequest) -> Result<KeyDocument, VerifyError> {
        let fetched_at = NOW.minus(Duration::from_secs(5));
        Ok(KeyDocument::fetched(json!({ "keys": [self.0] }).to_string(), fetched_at))
    }

    async fn confirm(&self, _: &str) -> Result<(), VerifyError> {
        panic!()
    }
}

async fn fetched(token: &str, keys: &dyn KeySource) -> Result<(), &'static str> {
    let secrets = SecretSet::from_texts(["x"]).unwrap();
    let cx = VerifyCx {
        now: NOW,
        secrets: secrets.active(NOW),
        tolerance: None,
        public_url: None,
        keys,
    };
    let rules = TokenRules::new([JwtAlgorithm::Es256]);
    let found = verify(token, &KeyRequest::for_url("https://k.example/jwks"), &rules, &cx).await;
    found.map(drop).map_err(|e| e.code())
}

#[tokio::test]
async fn a_key_that_is_not_in_the_cached_document_is_fetched_once_more() {
    let token = sign(r#"{"alg":"ES256","kid":"e"}"#, "{}");
    let source = |sets| RotatedKeys { asked: Mutex::default(), sets };
    let new = source([rsa_jwk(), ec_jwk()]);
    assert_eq!(fetched(&token, &new).await, Ok(()));
    let asked: Vec<_> = new.asked.lock().unwrap().iter().map(|want| want.newer_than).collect();
    assert_eq!(asked, [None, Some(NOW)]);
    let known = source([ec_jwk(), rsa_jwk()]);
    assert_eq!(fetched(&token, &known).await, Ok(()));
    assert_eq!(known.asked.lock().unwrap().len(), 1);
    let just_fetched = JustFetched(rsa_jwk());
    assert_eq!(fetched(&token, &just_fetched).await, Err("KEY_UNAVAILABLE"));
    let never = source([rsa_jwk(), rsa_jwk()]);
    assert_eq!(fetched(&token, &never).await, Err("INVALID_SIGNATURE"));
    assert_eq!(never.asked.lock().unwrap().len(), 2);
    assert_eq!(fetched(&token, &NoKeys).await, Err("KEY_UNAVAILABLE"));
    assert_eq!(fetched(&token, &FixedKeys("<html>".into())).await, Err("KEY_UNAVAILABLE"));
    let fixed = FixedKeys(ec_jwk().to_string().into());
    assert_eq!(fetched(&token, &fixed).await, Ok(()));
}

#[tokio::test]
async fn an_algorithm_that_the_rules_do_not_allow_causes_no_fetch() {
    let token = sign(r#"{"alg":"RS256","kid":"r"}"#, "{}");
    let source = RotatedKeys { asked: Mutex::default(), sets: [rsa_jwk(), rsa_jwk()] };
    assert_eq!(fetched(&token, &source).await, Err("INVALID_FORMAT"));
    assert!(source.asked.lock().unwrap().is_empty());
}

#[test]
fn only_bearer_tokens_are_read_from_the_authorization_header() {
    assert_eq!(bearer_token("Bearer a.b.c"), Ok("a.b.c"));
    assert_eq!(bearer_token("bearer  a.b.c"), Ok("a.b.c"));
    for other in ["", "Bearer", "Bearer ", "Basic YTpi", "Bearera.b.c", "a.b.c"] {
        assert!(bearer_token(other).is_err(), "{other}");
    }
}
