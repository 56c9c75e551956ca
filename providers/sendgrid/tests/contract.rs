//! Runs the conformance suite and the test vectors of SendGrid.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::path::Path;
use std::time::Duration;

use hookward_core::plugin::{BuildCx, Plugin};
use hookward_provider_sendgrid::PLUGINS;
use hookward_testkit::provider::{Subject, run_vectors};
use hookward_testkit::vectors::VectorFile;
use serde_json::{Value, json};

fn vectors() -> VectorFile {
    serde_json::from_str(include_str!("vectors.json")).unwrap()
}

/// The vectors with a bearer token in addition to the signature.
fn oauth_vectors() -> VectorFile {
    serde_json::from_str(include_str!("vectors-oauth.json")).unwrap()
}

fn subject() -> Subject {
    let key = |text: &str| format!("MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE{text}");
    Subject::of(
        PLUGINS,
        &key(
            "83T4O/n84iotIvIW4mdBgQ/7dAfSmpqIM8kF9mN1flpVKS3GRqe62gw+2fNNRaINXvVpiglSI8eNEc6wEA3F+g==",
        ),
        &key(
            "AxhCYowaVyXhxGGgzmpOOEMyOUHmg5xmLU92PBJ5w88trMwC2+kb/RAi/cps9EzFf+DJmBp3GhpIqPdcuLyF7Q==",
        ),
    )
    .tolerance(Some(Duration::from_secs(25 * 3600)))
    .future_tolerance(Duration::from_secs(300))
}

fn settings() -> Value {
    json!({
        "scheme": "oauth",
        "oauth": {
            "issuer": "https://login.example.com",
            "audience": "https://hooks.example.com",
            "jwks_url": "https://login.example.com/jwks.json",
        },
    })
}

#[test]
fn sendgrid_keeps_the_contract() {
    subject().recordings(vectors()).check();
}

#[test]
fn sendgrid_agrees_with_every_vector() {
    run_vectors(|_| subject().build().ok(), &vectors()).assert_agrees();
}

#[test]
fn the_oauth_scheme_keeps_the_contract_and_agrees_with_its_vectors() {
    let subject = || subject().with(settings());
    subject().recordings(oauth_vectors()).check();
    run_vectors(|_| subject().build().ok(), &oauth_vectors()).assert_agrees();
}

#[test]
fn incomplete_settings_are_config_errors_at_their_key() {
    let Plugin::Provider(descriptor) = PLUGINS[0] else { panic!() };
    let at = |with: Value| {
        let cx = BuildCx::new(Path::new("."), "sendgrid");
        (descriptor.build)(with, &cx).map(drop).map_err(|e| e.at)
    };
    assert_eq!(at(settings()), Ok(()));
    assert_eq!(at(json!({ "scheme": "oauth" })), Err("/scheme".to_owned()));
    assert_eq!(at(json!({ "oauth": settings()["oauth"] })), Err("/oauth".to_owned()));
    let mut plain = settings();
    plain["oauth"]["jwks_url"] = json!("http://login.example.com/jwks.json");
    assert_eq!(at(plain), Err("/oauth/jwks_url".to_owned()));
}
