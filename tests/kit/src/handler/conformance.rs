//! The conformance suite of handlers, one test for each rule of `docs/spec/handler.md`. Authors run it
//! through [`handler_suite!`](crate::handler_suite).
#![allow(clippy::panic, reason = "a suite reports by panicking")]

use std::future::Future;
use std::path::Path;
use std::sync::Arc;

use hookward_core::plugin::{BuildCx, BuildError, HandlerDescriptor, Plugin};
use hookward_core::{Body, Event, Flow, Handler, HandlerError};
use serde_json::{Value, json};

use super::{cx, sample_parts};
use crate::spec::{self, rule_of};

/// Is in every body of the suite, and must not be in any error.
const CANARY: &str = "canary-5f1d";

/// Writes one test for each rule of `docs/spec/handler.md`, HANDLER-1 to HANDLER-8:
/// `handler_suite!(hookward_handler_file::PLUGINS, "file", serde_json::json!({ "path": "x" }));`
///
/// The last argument is a `with:` block that the handler accepts; it is evaluated once per test. A failing
/// test prints the number and sentence of its rule.
#[macro_export]
macro_rules! handler_suite {
    ($plugins:expr, $name:expr, $with:expr) => {
        $crate::handler_suite!(@tests $plugins, $name, $with;
            handler_1_builds_from_its_documented_config
            handler_2_rejects_unknown_keys
            handler_3_describes_every_key
            handler_4_builds_without_io
            handler_5_survives_every_body
            handler_6_succeeds_again_under_one_idempotency_key
            handler_7_shows_no_secret
            handler_8_keeps_payloads_out_of_errors
        );
    };
    (@tests $plugins:expr, $name:expr, $with:expr; $($rule:ident)+) => {
        $(#[test] fn $rule() {
            $crate::handler::Subject::new($plugins, $name, $with).$rule();
        })+
    };
}

/// The handler under test.
#[derive(Debug)]
pub struct Subject {
    descriptor: HandlerDescriptor,
    with: Value,
    base: tempfile::TempDir,
}

#[allow(missing_docs, reason = "the rules are documented in `spec`")]
impl Subject {
    /// Takes the handler `name` from a crate's `PLUGINS`, with this `with:` block.
    pub fn new(plugins: &[Plugin], name: &str, with: Value) -> Self {
        let base = tempfile::tempdir().unwrap_or_else(|e| panic!("no temporary folder: {e}"));
        let of_name = |p: &Plugin| match p {
            Plugin::Handler(h) if h.name == name => Some(*h),
            _ => None,
        };
        match plugins.iter().find_map(of_name) {
            Some(descriptor) => Self { descriptor, with, base },
            None => panic!("PLUGINS has no handler `{name}`"),
        }
    }

    pub fn handler_1_builds_from_its_documented_config(&self) {
        self.build_or_fail("HANDLER-1");
        let name = self.descriptor.name;
        let is_snake_case = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        ensure("HANDLER-1", name.chars().all(is_snake_case), || {
            format!("the name `{name}` is not snake_case")
        });
        let summary = self.descriptor.summary;
        let one_line = !summary.trim().is_empty() && !summary.contains('\n');
        ensure("HANDLER-1", one_line, || "the summary is not one line".to_owned());
    }

    pub fn handler_2_rejects_unknown_keys(&self) {
        let mut with = self.with.clone();
        if with.is_null() {
            with = json!({});
        }
        let Some(block) = with.as_object_mut() else {
            panic!("HANDLER-2: `with` is not an object")
        };
        block.insert("hookward_testkit_unknown".to_owned(), json!(1));
        let rejected = self.build(with, self.base.path()).is_err();
        ensure("HANDLER-2", rejected, || {
            "an unknown key was accepted; add `#[serde(deny_unknown_fields)]`".to_owned()
        });
    }

    pub fn handler_3_describes_every_key(&self) {
        let schema = (self.descriptor.schema)();
        let closed = schema.get("additionalProperties") == Some(&Value::Bool(false));
        ensure("HANDLER-3", closed, || "the JSON Schema allows unknown keys".to_owned());
        for (key, property) in properties(&schema) {
            let described = property.get("description").is_some()
                || resolve_ref(&schema, property).get("description").is_some();
            ensure("HANDLER-3", described, || format!("the key `{key}` has no doc comment"));
        }
    }

    pub fn handler_4_builds_without_io(&self) {
        self.build_or_fail("HANDLER-4");
        let left_files = std::fs::read_dir(self.base.path()).map(Iterator::count).unwrap_or(0);
        ensure("HANDLER-4", left_files == 0, || "building left files".to_owned());
        let nowhere = self.base.path().join("not/there");
        if let Err(error) = self.build(self.with.clone(), &nowhere) {
            report_broken(
                "HANDLER-4",
                &format!("building needs the folder of routes.yaml: {error}"),
            );
        }
    }

    pub fn handler_5_survives_every_body(&self) {
        for (_, event) in odd_events() {
            // A panic fails the test; the handler may return any error.
            let _ = self.run(&event, 1);
        }
    }

    pub fn handler_6_succeeds_again_under_one_idempotency_key(&self) {
        let event = Event::new(sample_parts("order.paid", "{\"id\":1}"));
        for attempt in 1..=2 {
            if let Err(error) = self.run(&event, attempt) {
                report_broken("HANDLER-6", &format!("run {attempt} failed: {error:?}"));
            }
        }
    }

    pub fn handler_7_shows_no_secret(&self) {
        let schema = (self.descriptor.schema)();
        let mut secrets = Vec::new();
        collect_secrets(&schema, &schema, &self.with, &mut secrets);
        let shown = format!("{:?}", self.build_or_fail("HANDLER-7"));
        for secret in secrets.iter().filter(|s| !s.is_empty()) {
            ensure("HANDLER-7", !shown.contains(secret), || {
                "`Debug` shows a secret of the config".to_owned()
            });
        }
    }

    pub fn handler_8_keeps_payloads_out_of_errors(&self) {
        for (what, event) in odd_events() {
            if let Err(error) = self.run(&event, 1) {
                let leaks = error.message().contains(CANARY);
                ensure("HANDLER-8", !leaks, || format!("the error about {what} contains payload"));
            }
        }
    }

    fn build(&self, with: Value, base_dir: &Path) -> Result<Arc<dyn Handler>, BuildError> {
        (self.descriptor.build)(with, &BuildCx::new(base_dir, "suite"))
    }

    fn build_or_fail(&self, number: &str) -> Arc<dyn Handler> {
        match self.build(self.with.clone(), self.base.path()) {
            Ok(handler) => handler,
            Err(error) => report_broken(number, &format!("it cannot be built: {error}")),
        }
    }

    fn run(&self, event: &Event, attempt: u32) -> Result<Flow, HandlerError> {
        let handler = self.build_or_fail("HANDLER-1");
        let cx = cx(event).with_attempt(attempt);
        block_on(handler.handle(event.clone(), &cx))
    }
}

fn ensure(number: &str, holds: bool, how: impl FnOnce() -> String) {
    if !holds {
        report_broken(number, &how());
    }
}

fn report_broken(number: &str, how: &str) -> ! {
    panic!("{}\nfound: {how}", rule_of(spec::HANDLER, number));
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(work),
        Err(error) => panic!("no runtime: {error}"),
    }
}

/// Unusual events that senders do send.
fn odd_events() -> Vec<(&'static str, Event)> {
    let json = format!("{{\"note\":\"{CANARY}\"}}");
    let plain = sample_parts("order.paid", json);
    let body = |bytes: Vec<u8>| plain.clone().with_body(Body::new(bytes));
    let with = |text: &str| body(format!("{text}{CANARY}").into_bytes());
    vec![
        ("a body that is not JSON", Event::new(with("a=1&b="))),
        ("a body that is not UTF-8", Event::new(body([b"\xff\xfe\0", CANARY.as_bytes()].concat()))),
        ("an empty body", Event::new(body(Vec::new()))),
        ("a body of many lines", Event::new(body(format!("[\r\n\"{CANARY}\"\n]\n").into_bytes()))),
        ("an event without type", Event::new(plain.clone().with_event_type(None))),
        ("an event without id", Event::new(plain.clone().with_event_id(None))),
        (
            "a type that is not plain ASCII",
            Event::new(plain.clone().with_event_type(Some("bestellt\0\r\nÄ: %".into()))),
        ),
        ("an event without headers", Event::new(plain.with_headers(Arc::from([])))),
    ]
}

fn properties(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema.get("properties").and_then(Value::as_object).into_iter().flatten()
}

/// Follows a local `$ref`.
fn resolve_ref<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    let target = schema.get("$ref").and_then(Value::as_str).and_then(|r| r.strip_prefix('#'));
    target.and_then(|pointer| root.pointer(pointer)).unwrap_or(schema)
}

/// Collects the strings of `value` that the schema marks `writeOnly`.
fn collect_secrets(root: &Value, schema: &Value, value: &Value, found: &mut Vec<String>) {
    let schema = resolve_ref(root, schema);
    if schema.get("writeOnly") == Some(&Value::Bool(true)) {
        found.extend(value.as_str().map(str::to_owned));
    }
    let open = schema.get("additionalProperties");
    for (key, inner) in value.as_object().into_iter().flatten() {
        let named = schema.get("properties").and_then(|p| p.get(key));
        if let Some(schema) = named.or(open) {
            collect_secrets(root, schema, inner, found);
        }
    }
    for item in value.as_array().into_iter().flatten() {
        if let Some(schema) = schema.get("items") {
            collect_secrets(root, schema, item, found);
        }
    }
}
