//! Runs the conformance suite and the test vectors of Event Grid.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use hookward_core::plugin::Plugin;
use hookward_provider_azure_event_grid::PLUGINS;
use hookward_testkit::provider::{Subject, run_vectors};
use hookward_testkit::vectors::VectorFile;
use serde_json::{Value, json};

/// The vectors of the default settings and those that need other settings.
fn vectors() -> VectorFile {
    let mut file: VectorFile = serde_json::from_str(include_str!("vectors.json")).unwrap();
    let more: VectorFile = serde_json::from_str(include_str!("vectors-settings.json")).unwrap();
    file.vectors.extend(more.vectors);
    file
}

fn subject(with: Value) -> Subject {
    Subject::of(PLUGINS, "orchard press&co", "another-press").with(with).body_is_not_signed()
}

fn with(scheme: &str) -> Value {
    match scheme {
        "entra" => json!({
            "scheme": "entra",
            "audience": "api://orchard",
            "tenant": "84bd8158-6d4d-4958-8b9f-9d6445542f95",
        }),
        "header" => json!({"header": "X-Event-Grid-Secret"}),
        _ => Value::Null,
    }
}

#[test]
fn every_scheme_keeps_the_contract() {
    for scheme in ["azure-event-grid", "header", "entra"] {
        let mut recordings = vectors();
        recordings.vectors.retain(|v| v.scheme == scheme);
        subject(with(scheme)).recordings(recordings).check();
    }
}

#[test]
fn event_grid_agrees_with_every_vector() {
    run_vectors(|scheme| subject(with(scheme)).build().ok(), &vectors()).assert_agrees();
}

#[test]
fn contradictory_or_incomplete_settings_are_config_errors() {
    let config_error = |with| subject(with).build().unwrap_err();
    assert!(config_error(json!({"scheme": "entra"})).contains("audience"));
    assert!(config_error(json!({"scheme": "entra", "audience": "a"})).contains("tenant"));
    let common = json!({"scheme": "entra", "audience": "a", "tenant": "common"});
    assert!(config_error(common).contains("directory"));
    assert!(config_error(json!({"audience": "a"})).contains("entra"));
    assert!(config_error(json!({"parameter": "a", "header": "b"})).contains("both"));
    assert!(config_error(json!({"header": "a b"})).contains("header"));
}

#[test]
fn only_the_scheme_secret_needs_a_secret() {
    let Some(Plugin::Provider(provider)) = PLUGINS.first() else { panic!() };
    let schema = (provider.schema)();
    assert_eq!(*schema.pointer("/properties/scheme/enum").unwrap(), json!(["secret", "entra"]));
    assert!(subject(with("entra")).build().unwrap().proves_without_secret());
    assert!(!subject(with("header")).build().unwrap().proves_without_secret());
}
