//! The suite that every handler passes, and what this one promises.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::path::Path;
use std::sync::Arc;

use example_custom_handler::PLUGINS;
use hookward_core::plugin::{BuildCx, BuildError, Plugin};
use hookward_core::{Flow, Handler};
use hookward_testkit::handler::{cx, sample_event};
use serde_json::json;

hookward_testkit::handler_suite!(PLUGINS, "redact", json!({ "remove": ["/customer/email"] }));

fn build(pointer: &str) -> Result<Arc<dyn Handler>, BuildError> {
    let Plugin::Handler(redact) = PLUGINS[0] else { panic!("not a handler") };
    let cx = BuildCx { base_dir: Path::new("."), name: "redact" };
    (redact.build)(json!({ "remove": [pointer] }), &cx)
}

#[tokio::test]
async fn the_next_step_gets_the_event_without_the_member() {
    let event = sample_event("order.paid", r#"{"customer":{"email":"a@b.example","id":7}}"#);
    let redact = build("/customer/email").unwrap();
    match redact.handle(event.clone(), &cx(&event)).await.unwrap() {
        Flow::Replace(next) => {
            assert_eq!(next.json().unwrap(), &json!({ "customer": { "id": 7 } }))
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_pointer_that_is_none_is_refused_at_its_place() {
    assert_eq!(build("customer").unwrap_err().at, "/remove/0");
}
