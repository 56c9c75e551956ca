//! What can be described keeps the contract: the schemes of forty senders, each as data.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::time::Duration;

use hookward_core::vectors::VectorFile;
use hookward_provider_hmac::PLUGINS;
use hookward_testkit::provider::{Subject, run_vectors};
use serde_json::{Value, json};

fn schemes() -> BTreeMap<String, Value> {
    serde_json::from_str(include_str!("schemes.json")).unwrap()
}

fn vectors() -> VectorFile {
    serde_json::from_str(include_str!("vectors.json")).unwrap()
}

fn subject(scheme: &Value) -> Subject {
    let tolerance = scheme["timestamp"]["past"].as_u64().map(Duration::from_secs);
    let secrets = match scheme["key"].as_str() {
        Some("hex") => ["11223344D785FBAE710E7F943F307971", "00ff00ff00ff"],
        Some("whsec") => ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_b3JjaGFyZC1wcmVzcw=="],
        _ => ["orchard-press", "another-press"],
    };
    let subject = Subject::of(PLUGINS, secrets[0], secrets[1]);
    let subject = subject.with(scheme.clone()).tolerance(tolerance);
    let signs_body =
        scheme["alg"] != "equal" && scheme["message"].as_str().unwrap().contains("{body}");
    // The time of this sender stands in the body that it signs.
    let in_body = json!({"webhookTimestamp": Subject::NOW.as_millis()}).to_string();
    let subject = match scheme["timestamp"]["from"].as_str() {
        Some("json:/webhookTimestamp") => subject.body(&in_body),
        _ => subject,
    };
    if signs_body { subject } else { subject.body_is_not_signed() }
}

#[test]
fn a_described_sender_keeps_the_contract() {
    let scheme = json!({
        "signature": {"in": "header", "name": "x-signature", "prefix": "sha512=", "encoding": "hex"},
        "message": "{body}",
        "alg": "hmac-sha512",
        "event_type": "/type",
        "event_id": "/id",
    });
    subject(&scheme).check();
}

#[test]
fn every_known_scheme_agrees_with_its_vectors() {
    let schemes = schemes();
    let make = |id: &str| schemes.get(id).map(|scheme| subject(scheme).build().unwrap());
    run_vectors(make, &vectors()).assert_agrees();
}

#[test]
fn every_known_scheme_keeps_the_contract() {
    for (id, scheme) in schemes() {
        let mut recordings = vectors();
        recordings.vectors.retain(|vector| vector.scheme == id);
        println!("scheme {id}");
        subject(&scheme).recordings(recordings).samples_do_not_fit().check();
    }
}
