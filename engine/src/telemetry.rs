//! Every metric and log line of the way through, each an item with its meaning. Labels are names
//! from the configuration, never ids; lines never hold payloads or secrets.

use std::time::Duration;

use hookward_core::store::JobId;
use metrics::{counter, gauge, histogram};

/// `hookward_requests_total{source,outcome}`: requests on known paths, by how they ended: `accepted`,
/// `duplicate`, `unrouted`, `invalid`, `handshake`, `rejected`.
pub fn request(source: &str, outcome: &'static str) {
    counter!("hookward_requests_total", "source" => source.to_owned(), "outcome" => outcome)
        .increment(1);
}

/// `hookward_rejected_total{source,code}`: refused requests by code. `source` is empty where the path
/// names none.
pub fn rejected(source: &str, code: &'static str) {
    counter!("hookward_rejected_total", "source" => source.to_owned(), "code" => code).increment(1);
}

/// `hookward_secret_matches_total{source,secret}`: proofs by the secret's index: an old one that no
/// longer grows can be removed.
pub fn secret_match(source: &str, secret: usize) {
    let labels = [("source", source.to_owned()), ("secret", secret.to_string())];
    counter!("hookward_secret_matches_total", &labels).increment(1);
}

/// `hookward_request_duration_seconds`: from the first look at a request until its answer is known.
pub fn request_duration_seconds(span: Duration) {
    histogram!("hookward_request_duration_seconds").record(span.as_secs_f64());
}

/// `hookward_duplicates_by_content_total{source}`: repetitions told by their bytes alone, under another
/// id. A legitimate twin would be among them; each is listed with the event it was taken for.
pub fn duplicate_by_content(source: &str) {
    counter!("hookward_duplicates_by_content_total", "source" => source.to_owned()).increment(1);
}

/// `hookward_condition_errors_total{route}`: `when:` expressions that could not be computed, which counts as false.
pub fn when_failed(route: &str) {
    counter!("hookward_condition_errors_total", "route" => route.to_owned()).increment(1);
}

/// `hookward_jobs_total{route,outcome}`: attempts by what followed: `done`, `retry`, `dead`, `released`,
/// `unrouted`, `stale`.
pub fn job(route: &str, outcome: &'static str) {
    counter!("hookward_jobs_total", "route" => route.to_owned(), "outcome" => outcome).increment(1);
}

/// `hookward_step_seconds{route,handler}`: how long a step ran.
pub fn step_seconds(route: &str, handler: &str, span: Duration) {
    let labels = [("route", route.to_owned()), ("handler", handler.to_owned())];
    histogram!("hookward_step_seconds", &labels).record(span.as_secs_f64());
}

/// Logs that a job went to the dead letters. `hookward_jobs_total` counts it.
pub fn dead(route: &str, job: JobId, reason: &str) {
    tracing::warn!(route, job = %job, reason, "a job went to the dead letters");
}

/// `hookward_breaker_state{handler,route,step}`: 0 closed, 1 half open (one job finds out), 2 open.
pub fn breaker_state(handler: &str, route: &str, step: &str, state: f64) {
    let labels =
        [("handler", handler.to_owned()), ("route", route.to_owned()), ("step", step.to_owned())];
    gauge!("hookward_breaker_state", &labels).set(state);
}

/// A step failed so often in a row that its route gets no jobs for a while.
pub fn breaker_opened(route: &str, step: &str, failures: u32, pause: Duration) {
    let pause = humantime::format_duration(pause);
    tracing::warn!(route, step, failures, %pause, "a step keeps failing; its route pauses");
}

/// The step answers again.
pub fn breaker_closed(route: &str, step: &str) {
    tracing::info!(route, step, "a step answers again; its route goes on");
}

/// `hookward_queue_depth{route}`: jobs that wait or run.
pub fn queue_depth(route: &str, open: u64) {
    #[expect(
        clippy::cast_precision_loss,
        reason = "a gauge is a float; counts are far below 2^52"
    )]
    gauge!("hookward_queue_depth", "route" => route.to_owned()).set(open as f64);
}

/// `hookward_oldest_pending_seconds`: age of the oldest event with a waiting job.
pub fn oldest_pending(age: Duration) {
    gauge!("hookward_oldest_pending_seconds").set(age.as_secs_f64());
}

/// One INFO line per accepted delivery: the audit trail.
pub fn accepted(
    source: &str,
    event: &str,
    event_type: Option<&str>,
    outcome: &'static str,
    jobs: usize,
) {
    tracing::info!(source, event, event_type, outcome, jobs, "delivery stored");
}

/// A repetition; its first delivery is named.
pub fn duplicate(source: &str, of: &str, by: &'static str) {
    tracing::info!(source, of, by, "repeated delivery answered again");
}

/// The wall clock was set: signed times are not judged against it for a minute.
pub fn clock_set(by: Duration, forward: bool) {
    let by = humantime::format_duration(Duration::from_secs(by.as_secs()));
    tracing::warn!(%by, forward, "the machine's clock was set; stale signatures get 503 for a minute");
}

/// The wall clock is ahead of where it was known to be; nothing is forgotten by it for a day.
pub fn clock_ahead(by: Duration) {
    let by = humantime::format_duration(Duration::from_secs(by.as_secs()));
    tracing::warn!(%by, "the machine's clock is ahead of the store's; events are kept until it has been so for a day");
}

/// A set-up handshake was answered.
pub fn handshake(source: &str, status: u16) {
    tracing::info!(source, status, "set-up request answered");
}

/// A sender said its secret at set-up, and it was written to this file.
pub fn secret_kept(source: &str, file: &std::path::Path) {
    tracing::warn!(source, file = %file.display(), "the sender's secret was kept in its file");
}

/// A sender said its secret at set-up, and it could not be written; the sender was told to try again.
pub fn secret_not_kept(source: &str, file: &std::path::Path, reason: &str) {
    tracing::error!(source, file = %file.display(), reason, "the sender's secret could not be kept");
}

/// A refused request: the code that the sender sees, and the reason that it does not.
pub fn refused(source: &str, code: &'static str, status: u16, reason: &str) {
    tracing::info!(source, code, status, reason, "request refused");
}

/// The store did not take something in; the sender was told to try again.
pub fn store_failed(during: &'static str, reason: &str) {
    tracing::error!(during, reason, "the store failed");
}

/// A call of the store panicked. The one who asked goes on as after any failure of it; what the panic said
/// is not repeated, for it may quote what was to be stored.
pub fn store_panicked(operation: &'static str) {
    tracing::error!(operation, "a call of the store panicked: whether it took effect is unknown");
}

/// A task of the worker panicked, which is a fault of ours: the process ends, and a new one recovers.
pub fn worker_panicked(task: &'static str) {
    tracing::error!(
        task,
        "the worker panicked: nothing more is taken in, and the process is to end"
    );
}

/// A step failed; whether it is tried again is told by the job's outcome.
pub fn step_failed(route: &str, step: &str, job: JobId, attempt: u32, outcome: &str, reason: &str) {
    tracing::warn!(route, step, job = %job, attempt, outcome, reason, "a step failed");
}

/// A job's lease was lost: another worker may have it, so what this one did no longer counts.
pub fn lease_lost(route: &str, job: JobId) {
    tracing::warn!(route, job = %job, "the lease of a job was lost");
}

/// A new configuration is in force.
pub fn reloaded(sources: usize, routes: usize) {
    tracing::info!(sources, routes, "configuration reloaded");
}

/// Work stops: what was running goes back to the store.
pub fn drained(finished: usize, released: usize) {
    tracing::info!(finished, released, "work stopped");
}
