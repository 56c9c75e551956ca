//! Runs the conformance suite and the test vectors of JSON Web Tokens.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::path::Path;

use hookward_core::plugin::{BuildCx, Plugin};
use hookward_provider_jwt::PLUGINS;
use hookward_testkit::provider::{Subject, run_vectors};
use hookward_testkit::vectors::VectorFile;
use serde_json::{Value, json};

fn vectors() -> VectorFile {
    serde_json::from_str(include_str!("vectors.json")).unwrap()
}

fn settings() -> Value {
    json!({
        "issuer": "https://login.partner.example",
        "audience": "https://hooks.example.com",
        "jwks_url": "https://login.partner.example/jwks.json",
        "claims": { "azp": "our-client" },
        "body_hash": { "claim": "body_sha256" },
    })
}

fn subject() -> Subject {
    Subject::of(PLUGINS, "unused-secret", "unused-secret-too").with(settings())
}

#[test]
fn jwt_keeps_the_contract() {
    subject().recordings(vectors()).check();
}

#[test]
fn jwt_agrees_with_every_vector() {
    run_vectors(|_| subject().build().ok(), &vectors()).assert_agrees();
}

fn built(change: &[(&str, Value)]) -> Result<Vec<String>, String> {
    let Plugin::Provider(descriptor) = PLUGINS[0] else { panic!() };
    let mut with = settings();
    for (key, value) in change {
        with[*key] = value.clone();
    }
    let cx = BuildCx::new(Path::new("."), "jwt");
    (descriptor.build)(with, &cx).map(|provider| provider.config_warnings()).map_err(|e| e.at)
}

#[test]
fn invalid_settings_are_reported_at_their_key_and_bearer_tokens_are_warned_about() {
    assert_eq!(built(&[]), Ok(vec![]));
    let config_warnings = built(&[("body_hash", Value::Null)]).unwrap();
    assert!(
        config_warnings[0].contains("body_hash")
            && config_warnings[0].contains("does not cover the body")
    );
    for (key, value) in [
        ("jwks_url", json!("http://login.partner.example/jwks.json")),
        ("jwks_url", json!("https://127.0.0.1/jwks.json")),
        ("jwks_url", json!("https://login.partner.example:8443/jwks.json")),
        ("algorithms", json!([])),
        ("header", json!("not a header")),
        ("issuer", json!("")),
        ("audience", json!("")),
    ] {
        assert_eq!(built(&[(key, value)]), Err(format!("/{key}")));
    }
    assert_eq!(built(&[("algorithms", json!(["HS256"]))]), Err(String::new()));
}

#[test]
fn tokens_of_an_unlisted_algorithm_are_rejected() {
    let mut with = settings();
    with["algorithms"] = json!(["RS256"]);
    let provider = || subject().with(with.clone()).build().ok();
    let report = run_vectors(|_| provider(), &vectors());
    let ids: Vec<_> = report.disagreements.iter().map(|(id, ..)| id.as_str()).collect();
    assert_eq!(
        ids,
        ["jwt-own-es", "jwt-own-es-nokid", "jwt-own-aud-list", "jwt-own-grace", "jwt-own-upper"]
    );
}

#[test]
fn a_configured_header_has_the_token_without_bearer() {
    let mut with = settings();
    with["header"] = json!("X-Partner-Token");
    let mut file = vectors();
    for vector in &mut file.vectors {
        let header = &mut vector.request.headers[1];
        *header = ("x-partner-token".into(), header.1.replace("Bearer ", ""));
    }
    run_vectors(|_| subject().with(with.clone()).build().ok(), &file).assert_agrees();
}
