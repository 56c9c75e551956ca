//! Runs the conformance suite of `handler: log` and tests its promises.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::io::Write;
use std::sync::{Arc, Mutex};

use hookward_core::Event;
use hookward_core::plugin::{BuildCx, Plugin};
use hookward_testkit::handler::{cx, sample_parts};
use tracing_subscriber::fmt::MakeWriter;

hookward_testkit::handler_suite!(hookward_handler_log::PLUGINS, "log", serde_json::Value::Null);

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Lines {
    type Writer = Self;
    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// Returns an event of this type and the log lines that it writes.
fn logged(event_type: &str) -> (Event, String) {
    let lines = Lines::default();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(lines.clone()).finish();
    let parts = sample_parts(event_type, r#"{"card":"4242"}"#);
    let event = Event::new(parts.with_event_type(Some(event_type.into())));
    let Plugin::Handler(log) = hookward_handler_log::PLUGINS[0] else { panic!("not a handler") };
    let base_dir = std::path::Path::new(".");
    let handler = (log.build)(serde_json::Value::Null, &BuildCx::new(base_dir, "log")).unwrap();
    tracing::subscriber::with_default(subscriber, || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(handler.handle(event.clone(), &cx(&event))).unwrap();
    });
    let written = lines.0.lock().unwrap().clone();
    (event, String::from_utf8(written).unwrap())
}

#[test]
fn one_info_line_names_the_event_and_shows_no_payload() {
    let (event, text) = logged("order.paid");
    assert_eq!(text.lines().count(), 1, "{text}");
    let id = event.id().to_string();
    for part in [
        " INFO ",
        &id,
        "source=\"partner\"",
        "event_type=\"order.paid\"",
        "route=\"sample\"",
        "attempt=1",
    ] {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
    assert!(!text.contains("4242"), "{text}");
}

#[test]
fn an_event_type_cannot_forge_a_log_line() {
    let (_, text) = logged("x\n2026-01-01 ERROR forged");
    assert_eq!(text.lines().count(), 1, "{text}");
}
