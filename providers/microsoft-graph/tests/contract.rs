//! Runs the conformance suite and the test vectors of Microsoft Graph.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use hookward_provider_microsoft_graph::PLUGINS;
use hookward_testkit::provider::{Subject, run_vectors};
use hookward_testkit::vectors::VectorFile;
use serde_json::{Value, json};

const APP: &str = "8e460676-ae3f-4b1e-8790-ee0fb5d6148f";

fn vectors() -> VectorFile {
    serde_json::from_str(include_str!("vectors.json")).unwrap()
}

fn subject(with: Value) -> Subject {
    Subject::of(PLUGINS, "orchard-press", "another-press").with(with).body_is_not_signed()
}

fn with(scheme: &str) -> Value {
    match scheme {
        "validation_tokens" => json!({"scheme": "validation_tokens", "audience": APP}),
        _ => Value::Null,
    }
}

#[test]
fn both_ways_keep_the_contract() {
    for way in ["msgraph-clientstate", "validation_tokens"] {
        let mut recordings = vectors();
        recordings.vectors.retain(|v| v.scheme == way);
        subject(with(way)).recordings(recordings).check();
    }
}

#[test]
fn microsoft_graph_agrees_with_every_vector() {
    run_vectors(|scheme| subject(with(scheme)).build().ok(), &vectors()).assert_agrees();
}

#[test]
fn a_configuration_that_could_not_prove_anything_is_refused() {
    let refused = |with| subject(with).build().unwrap_err();
    assert!(refused(json!({"scheme": "validation_tokens"})).contains("audience"));
    let both = json!({"scheme": "client_state", "audience": APP});
    assert!(refused(both).contains("validation_tokens"));
    assert!(refused(json!({"tenant": APP})).contains("validation_tokens"));
    assert!(subject(json!({"audience": APP})).build().unwrap().signer().is_none());
    let tenant = json!({"scheme": "validation_tokens", "audience": APP, "tenant": "common/x"});
    assert!(refused(tenant).contains("directory"));
}

#[test]
fn the_schema_lists_both_ways() {
    let Some(hookward_core::plugin::Plugin::Provider(provider)) = PLUGINS.first() else { panic!() };
    let schema = (provider.schema)();
    let ways = schema.pointer("/properties/scheme/enum").unwrap();
    let named = ways.as_array().unwrap().iter().filter(|way| !way.is_null());
    assert!(named.eq(&[json!("client_state"), json!("validation_tokens")]));
}
