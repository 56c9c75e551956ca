//! GitHub keeps the contract and agrees with its vectors.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use hookward_core::plugin::ProviderConfig;
use hookward_core::vectors::VectorFile;
use hookward_provider_github::{GithubConfig, PLUGINS};
use hookward_testkit::provider::{Subject, run_vectors};

fn vectors() -> VectorFile {
    serde_json::from_str(include_str!("vectors.json")).unwrap()
}

fn subject() -> Subject {
    Subject::of(PLUGINS, "orchard press", "another one")
}

#[test]
fn github_keeps_the_contract() {
    subject().recordings(vectors()).check();
}

#[test]
fn github_agrees_with_every_vector() {
    run_vectors(|_| subject().build().ok(), &vectors()).assert_agrees();
}

#[test]
fn samples_fit_the_schemas_that_are_shipped() {
    let at = hookward_core::Timestamp::from_secs(1_760_000_000);
    let mut fitted = 0;
    for sample in GithubConfig::SAMPLES {
        let name = format!("github/{}", sample.event_type);
        let Some(schema) = hookward_schemas::get(&name) else { continue };
        let body = sample.render(sample.event_type, &format!("{}1a2B", sample.id_prefix), at);
        let schema = serde_json::from_str(schema).unwrap();
        let body = serde_json::from_str(&body).unwrap();
        let found = jsonschema::validate(&schema, &body);
        assert!(found.is_ok(), "{name}: {}", found.unwrap_err());
        fitted += 1;
    }
    assert_eq!(fitted, 3, "a schema without a sample, or a sample of another name");
}
