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
fn both_schemes_keep_the_contract() {
    for scheme in ["msgraph-clientstate", "validation_tokens"] {
        let mut recordings = vectors();
        recordings.vectors.retain(|v| v.scheme == scheme);
        subject(with(scheme)).recordings(recordings).check();
    }
}

#[test]
fn microsoft_graph_agrees_with_every_vector() {
    run_vectors(|scheme| subject(with(scheme)).build().ok(), &vectors()).assert_agrees();
}

#[test]
fn contradictory_or_incomplete_settings_are_config_errors() {
    let config_error = |with| subject(with).build().unwrap_err();
    assert!(config_error(json!({"scheme": "validation_tokens"})).contains("audience"));
    let both = json!({"scheme": "client_state", "audience": APP});
    assert!(config_error(both).contains("validation_tokens"));
    assert!(config_error(json!({"tenant": APP})).contains("validation_tokens"));
    assert!(subject(json!({"audience": APP})).build().unwrap().signer().is_none());
    let tenant = json!({"scheme": "validation_tokens", "audience": APP, "tenant": "common/x"});
    assert!(config_error(tenant).contains("directory"));
}

#[test]
fn the_json_schema_lists_both_schemes() {
    let Some(hookward_core::plugin::Plugin::Provider(provider)) = PLUGINS.first() else { panic!() };
    let schema = (provider.schema)();
    let schemes = schema.pointer("/properties/scheme/enum").unwrap();
    let named = schemes.as_array().unwrap().iter().filter(|scheme| !scheme.is_null());
    assert!(named.eq(&[json!("client_state"), json!("validation_tokens")]));
}
