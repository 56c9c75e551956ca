//! The handler of all steps in a simulation: it records each run, checks that the run is allowed
//! now and gets the right bytes, and then behaves as the scenario demands.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use async_trait::async_trait;
use hookward_core::store::JobId;
use hookward_core::{Body, Event, Flow, Handler, HandlerCx, HandlerError};

use super::store::lock;
use super::trace::trace;
use super::world::World;

/// Appended by a step that replaces the body.
const REPLACED_SUFFIX: &[u8] = b" replaced";

/// The configured `concurrency` of a route, the same in both configurations.
fn concurrency(route: &str) -> usize {
    if route == "orders" { 4 } else { 2 }
}

/// All runs of steps, in the order in which they began.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) runs: Vec<StepRun>,
    /// Runs that have not ended, by index in `runs`.
    active: BTreeMap<usize, ActiveRun>,
}

/// One run of one step.
#[derive(Debug)]
pub(crate) struct StepRun {
    pub(crate) job: JobId,
    pub(crate) step: Arc<str>,
    /// How the run ended: `ok`, `error` and so on; `cut` where the run was cancelled.
    pub(crate) end: &'static str,
}

#[derive(Debug)]
struct ActiveRun {
    job: JobId,
    attempt: u32,
    route: Arc<str>,
    order_key: Option<Arc<str>>,
}

/// Holds a reference to the world of the current run, because the configurations that contain the
/// handler are built once for many runs.
#[derive(Clone, Default)]
pub(crate) struct ScriptedHandler(Arc<Mutex<Weak<World>>>);

impl std::fmt::Debug for ScriptedHandler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ScriptedHandler")
    }
}

/// Marks a run as ended when it is dropped, also by a panic or a cancellation.
struct RunGuard {
    world: Arc<World>,
    index: usize,
    end: &'static str,
}

impl Drop for RunGuard {
    fn drop(&mut self) {
        let mut ledger = lock(&self.world.ledger);
        ledger.active.remove(&self.index);
        ledger.runs[self.index].end = self.end;
        trace!("ends {} {}", self.index, self.end);
    }
}

impl ScriptedHandler {
    /// Makes later runs belong to this world.
    pub(crate) fn attach(&self, world: &Arc<World>) {
        *lock(&self.0) = Arc::downgrade(world);
    }

    fn begin(&self, world: Arc<World>, event: &Event, cx: &HandlerCx) -> RunGuard {
        let order_key = self.check(&world, event, cx);
        let mut ledger = lock(&world.ledger);
        let index = ledger.runs.len();
        trace!("runs {index} {} {} {} attempt {}", cx.job, cx.route, cx.step, cx.attempt);
        ledger.runs.push(StepRun { job: cx.job, step: cx.step.clone(), end: "cut" });
        let active =
            ActiveRun { job: cx.job, attempt: cx.attempt, route: cx.route.clone(), order_key };
        ledger.active.insert(index, active);
        let of_route = ledger.active.values().filter(|run| run.route == cx.route).count();
        drop(ledger);
        if of_route > concurrency(&cx.route) {
            world.record_violation(format!(
                "{of_route} jobs of route `{}` run at the same time, {} are allowed",
                cx.route,
                concurrency(&cx.route)
            ));
        }
        world.count("runs");
        RunGuard { world, index, end: "cut" }
    }

    /// Checks the run's bytes and that no other job of its order key runs; returns the order key.
    fn check(&self, world: &World, event: &Event, cx: &HandlerCx) -> Option<Arc<str>> {
        let disk = lock(&world.disk);
        let position = *disk.positions.get(&cx.job.event)?;
        let row = disk.rows.get(&position)?;
        let mut violations = Vec::new();
        let original = row.event.body().bytes();
        let bytes = event.body().bytes();
        let replaced = bytes.strip_suffix(REPLACED_SUFFIX).is_some_and(|rest| rest == original);
        // The second step gets what the first step returned in one of its runs, however many
        // attempts and reloads lie between.
        let (may_be_original, may_be_replaced) = match &*cx.step {
            "first" | "only" => (true, false),
            _ => {
                let ledger = lock(&world.ledger);
                let of_job = ledger.runs.iter().filter(|run| run.job == cx.job);
                let ran = |end| of_job.clone().any(|run| &*run.step == "first" && run.end == end);
                (ran("ok"), ran("replaced"))
            }
        };
        if !(bytes == original && may_be_original || replaced && may_be_replaced) {
            violations.push(format!("INV-9: {} has other bytes in step `{}`", cx.job, cx.step));
        }
        let key = (position, cx.job.n);
        let order_key = disk.job(key)?.order_key.clone();
        // A run whose lease has expired may start late; its outcome has no effect.
        if order_key.is_some() && disk.has_lease(cx.job, cx.attempt) {
            let ledger = lock(&world.ledger);
            let other = ledger.active.values().find(|run| {
                let same = run.route == cx.route && run.order_key == order_key;
                run.job != cx.job && same && disk.has_lease(run.job, run.attempt)
            });
            if let Some(other) = other {
                violations.push(format!(
                    "INV-6: {} runs while {} of the same order key runs",
                    cx.job, other.job
                ));
            }
        }
        drop(disk);
        violations.into_iter().for_each(|what| world.record_violation(what));
        order_key
    }
}

#[async_trait]
impl Handler for ScriptedHandler {
    async fn handle(&self, event: Event, cx: &HandlerCx) -> Result<Flow, HandlerError> {
        let world = lock(&self.0).upgrade().filter(|world| world.running().is_some());
        // The process has ended, so nothing of it may have an effect any more.
        let Some(world) = world else { return std::future::pending().await };
        let faults = lock(&world.scenario).handler;
        let mut run = self.begin(world.clone(), &event, cx);
        let drawn = |probability: f64| fastrand::f64() < probability;
        if drawn(faults.slow) {
            // A quarter of the slow runs may exceed the step's timeout of 20 s.
            let max_ms = if fastrand::u8(..4) == 0 { 26_000 } else { 3_000 };
            tokio::time::sleep(Duration::from_millis(fastrand::u64(0..max_ms))).await;
        }
        let (end, result) = if drawn(faults.hang) {
            world.count("hangs");
            return std::future::pending().await;
        } else if drawn(faults.panic) {
            run.end = "panic";
            world.count("panics");
            panic!("{}", super::SCRIPTED_PANIC);
        } else if drawn(faults.fatal) {
            ("fatal", Err(HandlerError::fatal("never")))
        } else if drawn(faults.error) {
            match fastrand::bool() {
                true => ("error", Err(HandlerError::retry("not now"))),
                false => {
                    let after = Duration::from_secs(fastrand::u64(1..200));
                    ("error", Err(HandlerError::retry_after("later", after)))
                }
            }
        } else if drawn(faults.replace) && &*cx.step == "first" {
            let body = [event.body().bytes(), REPLACED_SUFFIX].concat();
            ("replaced", Ok(Flow::Replace(event.with_body(Body::new(body)))))
        } else if fastrand::u8(..50) == 0 {
            ("stopped", Ok(Flow::Stop { reason: "enough".to_owned() }))
        } else {
            ("ok", Ok(Flow::Next))
        };
        run.end = end;
        world.count(end);
        result
    }
}
