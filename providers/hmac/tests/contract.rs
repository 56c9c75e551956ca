//! Runs the conformance suite and the test vectors of schemes that are data, for some fifty
//! senders.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::time::Duration;

use hookward_provider_hmac::PLUGINS;
use hookward_testkit::provider::{Subject, run_vectors};
use hookward_testkit::vectors::VectorFile;
use serde_json::{Value, json};

/// Public key on P-256, as SubjectPublicKeyInfo in base64.
const SPKI: &str = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEwgqMPZfqVcUBvm43RIZoV1U+QprR5BvnV121g6OGTgjjUAZ11TAPYhxUnhfdvvDeAL9f5W5wp281oIwonJ5KjA==";
const OTHER_SPKI: &str = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEXwDlZaIRaGrUaZveaWGZFwQb62zVYchEOswnwuaHxX53bFsnUJ/we/nlSQMA3uj7DbgUQKETI5scgs4UTzT/Og==";

fn schemes() -> BTreeMap<String, Value> {
    serde_json::from_str(include_str!("schemes.json")).unwrap()
}

fn vectors() -> VectorFile {
    serde_json::from_str(include_str!("vectors.json")).unwrap()
}

fn subject(scheme: &Value) -> Subject {
    let tolerance = scheme["timestamp"]["past"].as_u64().map(Duration::from_secs);
    let secrets = match scheme["key"].as_str() {
        Some("hex") if scheme["alg"] == "ed25519" => [
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        ],
        Some("whpk") => [
            "whpk_PUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw=",
            "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
        ],
        Some("spki-b64") => [SPKI, OTHER_SPKI],
        Some("hex") => ["11223344D785FBAE710E7F943F307971", "00ff00ff00ff"],
        Some("whsec") => ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_b3JjaGFyZC1wcmVzcw=="],
        _ => ["orchard-press", "another-press"],
    };
    let subject = Subject::of(PLUGINS, secrets[0], secrets[1]);
    let subject = subject.with(scheme.clone()).tolerance(tolerance);
    let signs_body =
        scheme["alg"] != "equal" && scheme["message"].as_str().unwrap().contains("{body}");
    // This sender puts the time into the body that it signs.
    let in_body = json!({"webhookTimestamp": Subject::NOW.as_millis()}).to_string();
    let subject = match scheme["timestamp"]["from"].as_str() {
        Some("json:/webhookTimestamp") => subject.body(&in_body),
        _ => subject,
    };
    if signs_body { subject } else { subject.body_is_not_signed() }
}

#[test]
fn a_scheme_of_routes_yaml_keeps_the_contract() {
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
