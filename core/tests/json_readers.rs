//! Compares what the parser reads with what the parsers of senders and receivers read, recorded by
//! `json_readers.py`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use data_encoding::BASE64;
use hookward_core::scheme::Scheme;
use hookward_core::{
    Body, DuplicateKeys, Head, JsonOptions, Proof, Request, SecretSet, Timestamp, VerifyCx, prove,
};
use serde_json::Value;

/// Texts whose proof cannot be looked for: other encodings than UTF-8.
const UNREADABLE_FOR_PROOF: [&str; 3] = ["utf16_le_with_mark", "utf16_be", "utf32_le"];

fn cases() -> Vec<(String, Vec<u8>, Value)> {
    let recorded: Value = serde_json::from_str(include_str!("json_readers.json")).unwrap();
    let case = |case: &Value| {
        let body = BASE64.decode(case["body_base64"].as_str().unwrap().as_bytes()).unwrap();
        (case["name"].as_str().unwrap().to_owned(), body, case.clone())
    };
    recorded["cases"].as_array().unwrap().iter().map(case).collect()
}

#[test]
fn each_recorded_text_is_read_or_invalid_as_the_record_says() {
    for (name, body, case) in cases() {
        let read = Body::new(body).json().is_ok();
        assert_eq!(read, case["hookward"] == "reads", "{name}");
        let others_read = case["node"] == "reads" || case["python"] == "reads";
        assert!(!read || others_read, "{name}: nobody else reads it");
    }
}

#[test]
fn a_duplicate_key_has_its_last_value_where_the_source_says_so() {
    let last = JsonOptions::new().with_duplicate_keys(DuplicateKeys::Last);
    let body = Body::received(r#"{"a":1e400,"b":[{"c":1,"c":2}],"a":3}"#, None, None);
    assert!(body.json().is_err());
    let body = body.with_json_options(&last);
    assert_eq!(body.json().unwrap().to_string(), r#"{"a":3,"b":[{"c":2}]}"#);
    assert_eq!(body.exact_json().unwrap().pointer("/a").unwrap().number_text().unwrap(), "3");
}

#[test]
fn numbers_beyond_an_f64_keep_their_digits() {
    let body = Body::new(r#"{"a":[1e400,-1e400,1e99999999999],"b":"1e400"}"#);
    let json = body.exact_json().unwrap();
    let text = |at| json.pointer(at).unwrap().number_text().unwrap().into_owned();
    assert_eq!((text("/a/0"), text("/a/1")), ("1e400".to_owned(), "-1e400".to_owned()));
    let number = |at| json.pointer(at).unwrap().number().unwrap();
    assert!(number("/a/2") > number("/a/0") && number("/a/0") > number("/a/1"));
}

/// A sender whose proof stands in the body.
fn token_in_body() -> hookward_core::scheme::CompiledScheme {
    let scheme = r#"{"signature":{"in":"json","name":"/token"},"alg":"equal","event_id":"/id"}"#;
    Scheme::from_json(scheme).unwrap().compile().unwrap()
}

async fn prove_body(body: Vec<u8>) -> Result<Proof, hookward_core::VerifyError> {
    let secrets = SecretSet::from_texts(["right"]).unwrap();
    let now = Timestamp::from_secs(1_760_000_000);
    let cx = VerifyCx::new(now, secrets.active(now), &hookward_core::keys::NoKeys);
    prove(&token_in_body(), Request::new(Head::default(), Body::new(body)), &cx).await
}

/// The recorded text with a token in it.
fn with_token(body: &[u8], token: &str) -> Vec<u8> {
    let at = 1 + body.iter().position(|b| *b == b'{').unwrap();
    [&body[..at], format!(r#""token":"{token}","#).as_bytes(), &body[at..]].concat()
}

#[tokio::test]
async fn a_proof_in_the_body_is_found_in_whatever_another_parser_reads() {
    for (name, body, case) in cases() {
        let others_read = case["node"] == "reads" || case["python"] == "reads";
        if !others_read || UNREADABLE_FOR_PROOF.contains(&name.as_str()) {
            continue;
        }
        let (body, forged) = (with_token(&body, "right"), with_token(&body, "wrong"));
        let genuine = matches!(prove_body(body.clone()).await, Ok(Proof::Genuine(_)));
        assert!(genuine, "{name}: {}", String::from_utf8_lossy(&body));
        let error = prove_body(forged).await.unwrap_err();
        assert_eq!(error.code(), "INVALID_SIGNATURE", "{name}");
    }
}

#[tokio::test]
async fn a_proof_that_could_not_be_looked_for_is_not_called_missing() {
    for body in [&b"{"[..], b"", b"\xff\xfe{\0", b"token=right"] {
        let error = prove_body(body.to_vec()).await.unwrap_err();
        assert_eq!(error.code(), "INVALID_FORMAT");
        assert!(error.to_string().contains("could not be looked for"), "{error}");
    }
    let error = prove_body(b"{}".to_vec()).await.unwrap_err();
    assert_eq!(error.code(), "MISSING_SIGNATURE");
}
