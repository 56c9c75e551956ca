//! Runs the conformance suite of the provider that verifies nothing, except the tests of
//! signatures.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use hookward_provider_none::PLUGINS;
use hookward_testkit::provider::Subject;
use serde_json::json;

fn subject() -> Subject {
    Subject::of(PLUGINS, "not needed", "nor this").verifies_nothing()
}

#[test]
fn none_keeps_the_contract() {
    subject().with(json!({"event_type": "/type", "event_id": "/id"})).check();
    subject().with(json!({"event_type": "header:x-type", "event_id": "header:x-id"})).check();
}

#[test]
fn without_settings_the_contract_is_kept() {
    subject().samples_do_not_fit().check();
}
