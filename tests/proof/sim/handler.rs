//! The handler of all steps: it writes down each run, looks whether it may run now, and behaves as
//! the weather has it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use async_trait::async_trait;
use hookward_core::store::JobId;
use hookward_core::{Body, Event, Flow, Handler, HandlerCx, HandlerError};

use super::store::lock;
use super::trace::note;
use super::world::World;

/// What a step adds to a body that it replaces.
const MARK: &[u8] = b" replaced";

/// Jobs of one route at a time, in either configuration.
fn concurrency(route: &str) -> usize {
    if route == "orders" { 4 } else { 2 }
}

/// All runs.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) runs: Vec<Run>,
    /// Those that have not ended, by their place.
    active: BTreeMap<usize, Active>,
}

#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) job: JobId,
    pub(crate) step: Arc<str>,
    /// How it ended; `cut`: somebody ended it.
    pub(crate) end: &'static str,
}

#[derive(Debug)]
struct Active {
    job: JobId,
    attempt: u32,
    route: Arc<str>,
    order_key: Option<Arc<str>>,
}

/// Plans are older than the runs in which they are in force, so it is told whose it is.
#[derive(Clone, Default)]
pub(crate) struct Hand(Arc<Mutex<Weak<World>>>);

impl std::fmt::Debug for Hand {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hand")
    }
}

/// A run that is under way; ends when it is let go.
struct Under {
    world: Arc<World>,
    at: usize,
    end: &'static str,
}

impl Drop for Under {
    fn drop(&mut self) {
        let mut ledger = lock(&self.world.ledger);
        ledger.active.remove(&self.at);
        ledger.runs[self.at].end = self.end;
        note!("ends {} {}", self.at, self.end);
    }
}

impl Hand {
    pub(crate) fn belongs_to(&self, world: &Arc<World>) {
        *lock(&self.0) = Arc::downgrade(world);
    }

    fn begin(&self, world: Arc<World>, event: &Event, cx: &HandlerCx) -> Under {
        let order_key = self.look(&world, event, cx);
        let mut ledger = lock(&world.ledger);
        let at = ledger.runs.len();
        note!("runs {at} {} {} {} attempt {}", cx.job, cx.route, cx.step, cx.attempt);
        ledger.runs.push(Run { job: cx.job, step: cx.step.clone(), end: "cut" });
        let active =
            Active { job: cx.job, attempt: cx.attempt, route: cx.route.clone(), order_key };
        ledger.active.insert(at, active);
        let of_route = ledger.active.values().filter(|run| run.route == cx.route).count();
        drop(ledger);
        if of_route > concurrency(&cx.route) {
            world.broken(format!("{of_route} jobs of `{}` run at a time", cx.route));
        }
        world.count("runs");
        Under { world, at, end: "cut" }
    }

    /// Whether it may run now, with these bytes.
    fn look(&self, world: &World, event: &Event, cx: &HandlerCx) -> Option<Arc<str>> {
        let disk = lock(&world.disk);
        let place = *disk.places.get(&cx.job.event)?;
        let row = disk.rows.get(&place)?;
        let mut broken = Vec::new();
        let own = row.event.body().bytes();
        let is = event.body().bytes();
        let replaced = is.strip_suffix(MARK).is_some_and(|rest| rest == own);
        // Where all runs of the first step agree, their word is what the second one gets, however
        // many attempts and reloads lie between.
        let may = match &*cx.step {
            "first" | "only" => [true, false],
            _ => {
                let ledger = lock(&world.ledger);
                let of_job = ledger.runs.iter().filter(|run| run.job == cx.job);
                let ran = |end| of_job.clone().any(|run| &*run.step == "first" && run.end == end);
                [ran("ok"), ran("replaced")]
            }
        };
        if !(is == own && may[0] || replaced && may[1]) {
            broken.push(format!("INV-9: {} has other bytes in `{}`", cx.job, cx.step));
        }
        let key = (place, cx.job.n);
        let order_key = disk.job(key)?.order_key.clone();
        // A run whose lease is gone may come late; it counts for nothing.
        if order_key.is_some() && disk.runs(cx.job, cx.attempt) {
            let ledger = lock(&world.ledger);
            let beside = ledger.active.values().find(|run| {
                let same = run.route == cx.route && run.order_key == order_key;
                run.job != cx.job && same && disk.runs(run.job, run.attempt)
            });
            if let Some(beside) = beside {
                broken.push(format!("INV-6: {} runs beside {}", cx.job, beside.job));
            }
        }
        drop(disk);
        broken.into_iter().for_each(|what| world.broken(what));
        order_key
    }
}

#[async_trait]
impl Handler for Hand {
    async fn handle(&self, event: Event, cx: &HandlerCx) -> Result<Flow, HandlerError> {
        let world = lock(&self.0).upgrade().filter(|world| world.running().is_some());
        // The process has just ended, and this with it.
        let Some(world) = world else { return std::future::pending().await };
        let hands = lock(&world.sky).hands;
        let mut run = self.begin(world.clone(), &event, cx);
        let drawn = |share: f64| fastrand::f64() < share;
        if drawn(hands.slow) {
            // Some take longer than the step's timeout.
            let most = if fastrand::u8(..4) == 0 { 26_000 } else { 3_000 };
            tokio::time::sleep(Duration::from_millis(fastrand::u64(0..most))).await;
        }
        let (end, result) = if drawn(hands.hang) {
            world.count("hangs");
            return std::future::pending().await;
        } else if drawn(hands.panic) {
            run.end = "panic";
            world.count("panics");
            panic!("{}", super::SCRIPTED);
        } else if drawn(hands.fatal) {
            ("fatal", Err(HandlerError::fatal("never")))
        } else if drawn(hands.fail) {
            match fastrand::bool() {
                true => ("error", Err(HandlerError::retry("not now"))),
                false => {
                    let after = Duration::from_secs(fastrand::u64(1..200));
                    ("error", Err(HandlerError::retry_after("later", after)))
                }
            }
        } else if drawn(hands.replace) && &*cx.step == "first" {
            let body = [event.body().bytes(), MARK].concat();
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
