//! One attempt at a job: the chain from the step at which it goes on, until it is done, a step fails
//! or the worker stops.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hookward_core::store::{AttemptRecord, Job, JobOutcome, Settlement};
use hookward_core::{Event, Flow, Handler, HandlerCx, HandlerError, RetryDecision, Timestamp};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::compiled::{Route, Step};
use crate::engine::Engine;
use crate::telemetry;
use crate::worker::breaker::StepResult;
use crate::worker::retry::{Next, after_failure};

/// So long a step that is broken off may take to reach the place where it waits.
const BROKEN_OFF: Duration = Duration::from_secs(1);

/// How a step ended, other than well.
enum Failure {
    Error(HandlerError),
    Timeout(Duration),
    Panic,
    Stopped,
}

/// Runs the job's chain. Steps run on `runtime`, so that a handler that blocks its thread holds up
/// neither the receiving side nor the worker.
pub(crate) async fn attempt(
    engine: &Engine,
    runtime: &Handle,
    job: &Job,
    stop: &CancellationToken,
) -> JobOutcome {
    let config = engine.config();
    let Some(route) = config.routes.get(&job.route) else {
        return JobOutcome { lease: job.lease, settlement: Settlement::Unrouted, attempt: None };
    };
    let run = Run { job, route, started: engine.now(), clock: Instant::now() };
    let first = match &job.step {
        None => Some(0),
        Some(name) => route.chain.iter().position(|s| s.name.as_ref() == name.as_str()),
    };
    let Some(first) = first else {
        let name = job.step.as_deref().unwrap_or_default();
        let reason = format!("the step `{name}` is no longer in the chain of `{}`", route.name);
        // As that step would have received it: an operator may bring the step back and revive the job.
        let body = job.event.body().bytes().clone();
        return run.dead(name, "error", reason, Some(body));
    };
    run.chain(engine, runtime, first, stop).await
}

/// What this says about the handler; a step that was stopped says nothing.
fn of_handler(ended: &Result<Flow, Failure>) -> Option<StepResult> {
    match ended {
        Ok(_) => Some(StepResult::Answered),
        Err(Failure::Error(e)) if e.retry_decision() == RetryDecision::Fatal => {
            Some(StepResult::Answered)
        }
        Err(Failure::Error(_) | Failure::Timeout(_) | Failure::Panic) => Some(StepResult::Failed),
        Err(Failure::Stopped) => None,
    }
}

struct Run<'a> {
    job: &'a Job,
    route: &'a Arc<Route>,
    started: Timestamp,
    clock: Instant,
}

impl Run<'_> {
    async fn chain(
        &self,
        engine: &Engine,
        runtime: &Handle,
        first: usize,
        stop: &CancellationToken,
    ) -> JobOutcome {
        let mut event = self.job.event.clone();
        let mut replaced = false;
        let mut last = None;
        for step in self.route.chain.iter().skip(first) {
            last = Some(step.name.to_string());
            let body = |event: &Event, replaced| {
                (replaced || self.job.step.is_some()).then(|| event.body().bytes().clone())
            };
            let begun = Instant::now();
            let ended = self.step(engine, runtime, step, event.clone(), stop).await;
            telemetry::step_seconds(&self.route.name, &step.handler_name, begun.elapsed());
            if let Some(ended) = of_handler(&ended) {
                engine.breakers.tell(self.route, step, ended, engine.now());
            }
            match ended {
                Ok(Flow::Next) => {}
                Ok(Flow::Replace(next)) => {
                    event = next;
                    replaced = true;
                }
                Ok(Flow::Stop { reason }) => {
                    return self.outcome(Settlement::Done, last, "stopped", Some(reason));
                }
                Err(failure) => {
                    return self.failed(engine, step, failure, body(&event, replaced));
                }
            }
        }
        self.outcome(Settlement::Done, last, "done", None)
    }

    async fn step(
        &self,
        engine: &Engine,
        runtime: &Handle,
        step: &Step,
        event: Event,
        stop: &CancellationToken,
    ) -> Result<Flow, Failure> {
        let cx = HandlerCx {
            route: self.route.name.clone(),
            step: step.name.clone(),
            job: self.job.lease.job,
            attempt: self.job.attempt,
            deadline: engine.now().plus(step.timeout),
            replay: self.job.replay,
            event: event.id(),
        };
        let handler: Arc<dyn Handler> = step.handler.clone();
        let mut task = runtime.spawn(async move { handler.handle(event, &cx).await });
        let result = tokio::select! {
            biased;
            result = &mut task => result,
            () = tokio::time::sleep(step.timeout) => {
                broken_off(task).await;
                return Err(Failure::Timeout(step.timeout));
            }
            () = stop.cancelled() => {
                broken_off(task).await;
                return Err(Failure::Stopped);
            }
        };
        match result {
            Ok(Ok(flow)) => Ok(flow),
            Ok(Err(error)) => Err(Failure::Error(error)),
            Err(e) if e.is_panic() => Err(Failure::Panic),
            Err(_) => Err(Failure::Stopped),
        }
    }

    fn failed(
        &self,
        engine: &Engine,
        step: &Step,
        failure: Failure,
        body: Option<Bytes>,
    ) -> JobOutcome {
        let name = step.name.to_string();
        let (outcome, cause, retry_decision, message) = match failure {
            Failure::Stopped => {
                let settlement = Settlement::Released { step: Some(name.clone()), body };
                return self.outcome(settlement, Some(name), "released", None);
            }
            Failure::Error(e) => ("error", "error", e.retry_decision(), e.message().to_owned()),
            Failure::Timeout(span) => {
                let text = format!("gave up after {span:?}, the step's timeout");
                ("timeout", "timeout", RetryDecision::Retry, text)
            }
            Failure::Panic => {
                ("panic", "error", RetryDecision::Retry, "the handler panicked".to_owned())
            }
        };
        let job = self.job.lease.job;
        telemetry::step_failed(&self.route.name, &name, job, self.job.attempt, outcome, &message);
        // Attempts that a crash ended are not the handler's failures; they are counted apart.
        let tried = self.job.attempt.saturating_sub(self.job.crashes).max(1);
        match after_failure(&self.route.retry, tried, retry_decision, fastrand::f64()) {
            Next::Dead => {
                let reason = match retry_decision {
                    RetryDecision::Fatal => message,
                    _ => format!("{message} (attempt {tried} of {})", self.route.retry.attempts),
                };
                self.dead(&name, outcome, reason, body)
            }
            Next::After(delay) => {
                let at = engine.now().plus(delay);
                let settlement = Settlement::Retry { at, step: Some(name.clone()), body, cause };
                self.outcome(settlement, Some(name), outcome, Some(message))
            }
        }
    }

    fn dead(&self, step: &str, outcome: &str, reason: String, body: Option<Bytes>) -> JobOutcome {
        let settlement =
            Settlement::Dead { reason: reason.clone(), step: Some(step.to_owned()), body };
        self.outcome(settlement, Some(step.to_owned()), outcome, Some(reason))
    }

    fn outcome(
        &self,
        settlement: Settlement,
        step: Option<String>,
        outcome: &str,
        error: Option<String>,
    ) -> JobOutcome {
        let duration_ms = u64::try_from(self.clock.elapsed().as_millis()).unwrap_or(u64::MAX);
        let attempt = AttemptRecord {
            attempt: self.job.attempt,
            step,
            started_at: self.started.to_string(),
            duration_ms,
            outcome: outcome.to_owned(),
            error,
            cause: self.job.cause.clone(),
        };
        JobOutcome { lease: self.job.lease, settlement, attempt: Some(attempt) }
    }
}

/// Ends a step where it next waits, and lets it get there: the next attempt, or the next job of its key,
/// should find nothing of it running. One that waits for nothing is not waited for either.
async fn broken_off<T>(step: JoinHandle<T>) {
    step.abort();
    let _ = tokio::time::timeout(BROKEN_OFF, step).await;
}
