//! One attempt at a job: runs the chain from the step at which the job stands, until the chain is
//! done, a step fails, or the worker stops.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hookward_core::store::{AttemptOutcome, AttemptRecord, Cause, Job, JobOutcome, Settlement};
use hookward_core::{Event, Flow, Handler, HandlerCx, HandlerError, RetryDecision, Timestamp};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::Shared;
use super::breaker::StepResult;
use super::retry::{AfterFailure, after_failure};
use crate::compiled::{Route, Step};
use crate::telemetry;

/// How long an aborted step may take to reach its next await point.
const STEP_ABORT_TIMEOUT: Duration = Duration::from_secs(1);

/// How a step failed or was stopped.
enum StepFailure {
    Error(HandlerError),
    Timeout(Duration),
    Panic,
    /// The worker stops, or the job's lease is lost.
    Stopped,
}

/// Runs a claimed job until `stop` is cancelled, and returns how it ended. Steps run on the
/// handlers' own runtime, so that one that blocks its thread delays neither senders nor the worker.
pub(super) async fn run_attempt(
    shared: &Shared,
    job: &Job,
    stop: &CancellationToken,
) -> JobOutcome {
    // One configuration for the whole attempt: a reload must not change the chain under it.
    let config = shared.engine.config();
    // Removed by a reload after the event was accepted. No attempt is recorded, because nothing
    // ran.
    let Some(route) = config.routes.get(&job.route) else {
        return JobOutcome::new(job.lease, Settlement::Unrouted);
    };
    let (started_at, started) = (shared.engine.now(), Instant::now());
    let event = config.with_json_options(&job.event);
    let attempt = Attempt { shared, job, event, route, started_at, started };
    let first_step = match &job.step {
        None => Some(0),
        // By name, not by index: a reload may have added steps before it.
        Some(name) => route.chain.iter().position(|s| s.name.as_ref() == name.as_str()),
    };
    if let Some(first_step) = first_step {
        return attempt.run_chain(first_step, stop).await;
    }
    let name = job.step.as_deref().unwrap_or_default();
    let reason = format!("the step `{name}` is no longer in the chain of `{}`", route.name);
    // With the body that this step would have received: an operator may restore the step and replay
    // the job.
    let body = job.event.body().bytes().clone();
    attempt.dead_outcome(name, AttemptOutcome::Error, reason, Some(body))
}

struct Attempt<'a> {
    shared: &'a Shared,
    job: &'a Job,
    /// The job's event, read as its source says.
    event: Event,
    route: &'a Arc<Route>,
    started_at: Timestamp,
    /// For the duration: the wall clock may be set meanwhile.
    started: Instant,
}

impl Attempt<'_> {
    async fn run_chain(&self, first_step: usize, stop: &CancellationToken) -> JobOutcome {
        let mut event = self.event.clone();
        let mut is_replaced = false;
        let mut last_step = None;
        for step in self.route.chain.iter().skip(first_step) {
            last_step = Some(step.name.to_string());
            let started = Instant::now();
            let result = self.run_step(step, event.clone(), stop).await;
            telemetry::record_step_duration(
                &self.route.name,
                &step.handler_name,
                started.elapsed(),
            );
            // Recorded before the outcome is settled, so that the next claim already knows.
            if let Some(result) = breaker_result(&result) {
                let now = self.shared.engine.now();
                self.shared.breakers.record(self.route, step, result, now);
            }
            match result {
                Ok(Flow::Next) => {}
                Ok(Flow::Replace(next)) => {
                    event = next;
                    is_replaced = true;
                }
                Ok(Flow::Stop { reason }) => {
                    return self.job_outcome(
                        Settlement::Done,
                        last_step,
                        AttemptOutcome::Stopped,
                        Some(reason),
                    );
                }
                Err(failure) => {
                    // The body as this step received it, so that the next attempt resumes here. The
                    // store has the received body, so a chain that never replaced it stores
                    // nothing.
                    let stored = is_replaced || !self.job.event.body().is_received();
                    let body = stored.then(|| event.body().bytes().clone());
                    return self.failure_outcome(step, failure, body);
                }
            }
        }
        self.job_outcome(Settlement::Done, last_step, AttemptOutcome::Done, None)
    }

    async fn run_step(
        &self,
        step: &Step,
        event: Event,
        stop: &CancellationToken,
    ) -> Result<Flow, StepFailure> {
        let (route, name) = (self.route.name.clone(), step.name.clone());
        let clock = self.shared.engine.clock().clone();
        let cx = HandlerCx::new(route, name, self.job.lease.job, step.timeout, clock)
            .with_attempt(self.job.attempt)
            .with_replay(self.job.replay);
        let handler: Arc<dyn Handler> = step.handler.clone();
        // A task of its own: a panic ends in its handle, and a step that blocks its thread blocks
        // neither the timeout nor the stop below.
        let mut task = self.shared.runtime.spawn(async move { handler.handle(event, &cx).await });
        let result = tokio::select! {
            // A step that ended counts, even where its time was up or the worker stopped meanwhile.
            biased;
            result = &mut task => result,
            () = sleep(step.timeout) => {
                abort_step(task).await;
                return Err(StepFailure::Timeout(step.timeout));
            }
            () = stop.cancelled() => {
                abort_step(task).await;
                return Err(StepFailure::Stopped);
            }
        };
        match result {
            Ok(Ok(flow)) => Ok(flow),
            Ok(Err(error)) => Err(StepFailure::Error(error)),
            Err(e) if e.is_panic() => Err(StepFailure::Panic),
            // Cancelled: the handlers' runtime is shutting down.
            Err(_) => Err(StepFailure::Stopped),
        }
    }

    fn failure_outcome(
        &self,
        step: &Step,
        failure: StepFailure,
        body: Option<Bytes>,
    ) -> JobOutcome {
        let name = step.name.to_string();
        let (outcome, decision, message) = match failure {
            // Not the handler's failure: the attempt does not count, and the job goes on at this
            // step.
            StepFailure::Stopped => {
                let settlement = Settlement::Released { step: Some(name.clone()), body };
                return self.job_outcome(settlement, Some(name), AttemptOutcome::Released, None);
            }
            StepFailure::Error(e) => {
                (AttemptOutcome::Error, e.retry_decision(), e.message().to_owned())
            }
            StepFailure::Timeout(limit) => {
                let message = format!("gave up after {limit:?}, the step's timeout");
                (AttemptOutcome::Timeout, RetryDecision::Retry, message)
            }
            // Not fatal: a panic may come from the state of the process, and a retry has a limit
            // anyway.
            StepFailure::Panic => {
                let message = "the handler panicked".to_owned();
                (AttemptOutcome::Panic, RetryDecision::Retry, message)
            }
        };
        let (job, attempt) = (self.job.lease.job, self.job.attempt);
        telemetry::log_step_failed(
            &self.route.name,
            &name,
            job,
            attempt,
            outcome.as_str(),
            &message,
        );
        // Attempts that ended in a crash are not the handler's failures; they have a limit of their
        // own.
        let counted_attempts = attempt.saturating_sub(self.job.crashes).max(1);
        match after_failure(&self.route.retry, counted_attempts, decision, fastrand::f64()) {
            AfterFailure::Dead => {
                // Operators see why it was not tried again: fatal by itself, or out of attempts.
                let reason = match decision {
                    RetryDecision::Fatal => message,
                    _ => format!(
                        "{message} (attempt {counted_attempts} of {})",
                        self.route.retry.attempts
                    ),
                };
                self.dead_outcome(&name, outcome, reason, body)
            }
            AfterFailure::RetryAfter(delay) => {
                // From the end of the attempt: a step that ran into its timeout has waited already.
                let at = self.shared.engine.now().plus(delay);
                let cause = outcome.next_cause().unwrap_or(Cause::Error);
                let settlement = Settlement::Retry { at, step: Some(name.clone()), body, cause };
                self.job_outcome(settlement, Some(name), outcome, Some(message))
            }
        }
    }

    fn dead_outcome(
        &self,
        step: &str,
        outcome: AttemptOutcome,
        reason: String,
        body: Option<Bytes>,
    ) -> JobOutcome {
        let settlement =
            Settlement::Dead { reason: reason.clone(), step: Some(step.to_owned()), body };
        self.job_outcome(settlement, Some(step.to_owned()), outcome, Some(reason))
    }

    fn job_outcome(
        &self,
        settlement: Settlement,
        step: Option<String>,
        outcome: AttemptOutcome,
        error: Option<String>,
    ) -> JobOutcome {
        let duration_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let attempt = AttemptRecord::new(self.job.attempt, self.started_at.to_string(), outcome)
            .with_step(step)
            .with_duration_ms(duration_ms)
            .with_error(error)
            .with_cause(self.job.cause);
        JobOutcome::new(self.job.lease, settlement).with_attempt(attempt)
    }
}

/// Whether the receiver of a step answered; `None` if the step was stopped before that was known.
fn breaker_result(result: &Result<Flow, StepFailure>) -> Option<StepResult> {
    match result {
        Ok(_) => Some(StepResult::Answered),
        // The receiver is up: it rejected this event, and further events may fare better.
        Err(StepFailure::Error(e)) if e.retry_decision() == RetryDecision::Fatal => {
            Some(StepResult::Answered)
        }
        // A panic counts: it is often the handler's reaction to what the receiver sent.
        Err(StepFailure::Error(_) | StepFailure::Timeout(_) | StepFailure::Panic) => {
            Some(StepResult::Failed)
        }
        Err(StepFailure::Stopped) => None,
    }
}

/// Aborts a step and waits for its end, at most [`STEP_ABORT_TIMEOUT`]. The next attempt, or the
/// next job of the same order key, must not run beside it. A step that never awaits is not waited
/// for any longer.
async fn abort_step<T>(step: JoinHandle<T>) {
    // A task ends at its next await point, not immediately.
    step.abort();
    let _ = timeout(STEP_ABORT_TIMEOUT, step).await;
}
