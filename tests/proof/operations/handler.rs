//! The handler of all steps. The body's `do` says how the first run of an event behaves: it fails
//! with `fail` or `fatal`, panics, is slow, or replaces the body. Later runs succeed. Every run is
//! recorded.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use hookward_core::store::JobId;
use hookward_core::{Body, Event, Flow, Handler, HandlerCx, HandlerError};
use serde_json::{Value, json};

use crate::sim::SCRIPTED_PANIC;
use crate::sim::handler::StepRun;
use crate::sim::store::lock;

/// Duration of a slow run, longer than the interval in which leases are extended.
const SLOW_RUN: Duration = Duration::from_secs(12);

/// All runs of steps, in the order in which they began.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    pub(super) runs: Vec<StepRun>,
    /// Order keys of the jobs that run now.
    active: BTreeSet<(String, JobId)>,
    pub(super) violations: Vec<String>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct ScriptedHandler(pub(super) Arc<Mutex<Ledger>>);

/// Marks a run as ended when it is dropped, also by a panic or a cancellation.
struct RunGuard {
    ledger: Arc<Mutex<Ledger>>,
    index: usize,
    key: (String, JobId),
    end: &'static str,
}

impl Drop for RunGuard {
    fn drop(&mut self) {
        let mut ledger = lock(&self.ledger);
        ledger.active.remove(&self.key);
        ledger.runs[self.index].end = self.end;
    }
}

impl ScriptedHandler {
    /// Records a run; returns it with whether this step of the job has run to its end before.
    fn begin(&self, key: &str, cx: &HandlerCx) -> (RunGuard, bool) {
        let mut ledger = lock(&self.0);
        let again = |run: &StepRun| run.job == cx.job && run.step == cx.step && run.end != "cut";
        let again = ledger.runs.iter().any(again);
        let other = ledger.active.iter().find(|(k, job)| k == key && *job != cx.job).cloned();
        if let Some((_, other)) = other {
            ledger
                .violations
                .push(format!("INV-6: {} runs while {other} of the same order key runs", cx.job));
        }
        let (index, key) = (ledger.runs.len(), (key.to_owned(), cx.job));
        ledger.runs.push(StepRun { job: cx.job, step: cx.step.clone(), end: "cut" });
        ledger.active.insert(key.clone());
        (RunGuard { ledger: self.0.clone(), index, key, end: "cut" }, again)
    }
}

#[async_trait]
impl Handler for ScriptedHandler {
    async fn handle(&self, event: Event, cx: &HandlerCx) -> Result<Flow, HandlerError> {
        let body: Value = serde_json::from_slice(event.body().bytes())?;
        let object = &body["data"]["object"];
        let key = object["customer"].as_str().unwrap_or(body["id"].as_str().unwrap_or_default());
        let (mut run, again) = self.begin(key, cx);
        let behavior = object["do"].as_str().unwrap_or_default();
        if &*cx.step == "second" && behavior == "replace" && body["replaced"] != true {
            lock(&self.0)
                .violations
                .push(format!("INV-9: {} lost the body that its first step made", cx.job));
        }
        let (end, result) = match (behavior, &*cx.step) {
            ("slow", "first") => {
                tokio::time::sleep(SLOW_RUN).await;
                ("ok", Ok(Flow::Next))
            }
            ("fatal", "first") if !cx.replay => ("fatal", Err(HandlerError::fatal("never"))),
            ("panic", "first") if !again => {
                run.end = "panic";
                panic!("{SCRIPTED_PANIC}");
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
