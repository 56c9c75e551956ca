//! The rules that every handler must follow, checked by the kit, and the promises of this one.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::path::Path;
use std::sync::Arc;

use example_custom_handler::PLUGINS;
use hookward_core::plugin::{BuildCx, BuildError, Plugin};
use hookward_core::{Flow, Handler};
use hookward_testkit::handler::{cx, sample_event};
use serde_json::json;

// One test per rule of docs/spec/handler.md; the last argument is a valid `with:` block.
hookward_testkit::handler_suite!(PLUGINS, "redact", json!({ "remove": ["/customer/email"] }));

fn build(pointer: &str) -> Result<Arc<dyn Handler>, BuildError> {
    let Plugin::Handler(redact) = PLUGINS[0] else { panic!("not a handler") };
    let cx = BuildCx::new(Path::new("."), "redact");
    (redact.build)(json!({ "remove": [pointer] }), &cx)
}

#[tokio::test]
async fn later_steps_get_the_event_without_the_removed_member() {
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
fn an_invalid_pointer_is_reported_at_its_position() {
    assert_eq!(build("customer").unwrap_err().at, "/remove/0");
}
