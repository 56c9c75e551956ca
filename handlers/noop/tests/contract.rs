//! Runs the conformance suite of `handler: noop`.

hookward_testkit::handler_suite!(hookward_handler_noop::PLUGINS, "noop", serde_json::Value::Null);
