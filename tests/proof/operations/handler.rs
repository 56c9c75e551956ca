//! The handler of all steps. What an event says under `do` is done to it once: it fails, is refused,
//! panics, takes long; then it goes well. Each run is written down.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use hookward_core::store::JobId;
use hookward_core::{Body, Event, Flow, Handler, HandlerCx, HandlerError};
use serde_json::{Value, json};

use crate::sim::SCRIPTED;
use crate::sim::handler::Run;
use crate::sim::store::lock;

/// Longer than it takes until its lease is extended.
const SLOW: Duration = Duration::from_secs(12);

#[derive(Debug, Default)]
pub(super) struct Ledger {
    pub(super) runs: Vec<Run>,
    /// The order keys of what runs now.
    busy: BTreeSet<(String, JobId)>,
    pub(super) broken: Vec<String>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Hand(pub(super) Arc<Mutex<Ledger>>);

/// A run that is under way; ends when it is let go.
struct Under {
    ledger: Arc<Mutex<Ledger>>,
    at: usize,
    key: (String, JobId),
    end: &'static str,
}

impl Drop for Under {
    fn drop(&mut self) {
        let mut ledger = lock(&self.ledger);
        ledger.busy.remove(&self.key);
        ledger.runs[self.at].end = self.end;
    }
}

impl Hand {
    /// The run, and whether this step of the job went wrong before.
    fn begin(&self, key: &str, cx: &HandlerCx) -> (Under, bool) {
        let mut ledger = lock(&self.0);
        let again = |run: &Run| run.job == cx.job && run.step == cx.step && run.end != "cut";
        let again = ledger.runs.iter().any(again);
        let beside = ledger.busy.iter().find(|(k, job)| k == key && *job != cx.job).cloned();
        if let Some((_, beside)) = beside {
            ledger.broken.push(format!("INV-6: {} runs beside {beside}", cx.job));
        }
        let (at, key) = (ledger.runs.len(), (key.to_owned(), cx.job));
        ledger.runs.push(Run { job: cx.job, step: cx.step.clone(), end: "cut" });
        ledger.busy.insert(key.clone());
        (Under { ledger: self.0.clone(), at, key, end: "cut" }, again)
    }
}

#[async_trait]
impl Handler for Hand {
    async fn handle(&self, event: Event, cx: &HandlerCx) -> Result<Flow, HandlerError> {
        let body: Value = serde_json::from_slice(event.body().bytes())?;
        let object = &body["data"]["object"];
        let key = object["customer"].as_str().unwrap_or(body["id"].as_str().unwrap_or_default());
        let (mut run, again) = self.begin(key, cx);
        let todo = object["do"].as_str().unwrap_or_default();
        if &*cx.step == "second" && todo == "replace" && body["replaced"] != true {
            lock(&self.0).broken.push(format!("INV-9: {} has lost what it had come to", cx.job));
        }
        let (end, result) = match (todo, &*cx.step) {
            ("slow", "first") => {
                tokio::time::sleep(SLOW).await;
                ("ok", Ok(Flow::Next))
            }
            ("refuse", "first") if !cx.replay => ("fatal", Err(HandlerError::fatal("never"))),
            ("panic", "first") if !again => {
                run.end = "panic";
                panic!("{SCRIPTED}");
            }
            ("replace", "first") => {
                let mut body = body.clone();
                body["replaced"] = json!(true);
                ("replaced", Ok(Flow::Replace(event.with_body(Body::new(body.to_string())))))
            }
            ("fail", "first") | ("replace", "second") if !again => {
                ("error", Err(HandlerError::retry("not now")))
            }
            _ => ("ok", Ok(Flow::Next)),
        };
        run.end = end;
        result
    }
}
