//! Every metric and log line of the engine, each an item with its meaning and labels. Labels are
//! names from the configuration, never ids; lines never hold payloads or secrets. A line is the
//! event's name, then its fields.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use hookward_core::store::JobId;
use metrics::{counter, gauge, histogram};

use crate::retention_clock::Doubt;

// Metrics.

/// Counts `hookward_requests_total{source,outcome}`: requests on known paths, by how they ended:
/// `accepted`, `duplicate`, `unrouted`, `invalid`, `handshake`, `rejected`.
pub(crate) fn count_request(source: &str, outcome: &'static str) {
    counter!("hookward_requests_total", "source" => source.to_owned(), "outcome" => outcome)
        .increment(1);
}

/// Counts `hookward_rejected_total{source,code}`: rejected requests by code. `source` is empty for
/// an unknown path.
pub(crate) fn count_rejection(source: &str, code: &'static str) {
    counter!("hookward_rejected_total", "source" => source.to_owned(), "code" => code).increment(1);
}

/// Counts `hookward_secret_matches_total{source,secret}`: verified requests by the index of the
/// secret that matched. An old secret whose count no longer grows can be removed.
pub(crate) fn count_secret_match(source: &str, secret: usize) {
    let labels = [("source", source.to_owned()), ("secret", secret.to_string())];
    counter!("hookward_secret_matches_total", &labels).increment(1);
}

/// Records `hookward_request_duration_seconds`: from the complete request head until the answer is
/// known.
pub(crate) fn record_request_duration(duration: Duration) {
    histogram!("hookward_request_duration_seconds").record(duration.as_secs_f64());
}

/// Counts `hookward_duplicates_by_content_total{source}`: content duplicates, which are repetitions
/// recognised by their bytes alone, under another id. Each is listed with the event that it
/// repeats, so that an operator can find one that was not a repetition.
pub(crate) fn count_content_duplicate(source: &str) {
    counter!("hookward_duplicates_by_content_total", "source" => source.to_owned()).increment(1);
}

/// Counts `hookward_condition_errors_total{route}`: `when` expressions that could not be evaluated.
/// Such a condition is false.
pub(crate) fn count_condition_error(route: &str) {
    counter!("hookward_condition_errors_total", "route" => route.to_owned()).increment(1);
}

/// Counts `hookward_conditions_over_budget_total{route}`: events whose conditions cost more than one
/// delivery may take. Such an event is invalid for the route.
pub(crate) fn count_unaffordable(route: &str) {
    counter!("hookward_conditions_over_budget_total", "route" => route.to_owned()).increment(1);
}

/// Counts `hookward_jobs_total{route,outcome}`: attempts by what followed them: `done`, `retry`,
/// `dead`, `released`, `unrouted`, `stale`.
pub(crate) fn count_job(route: &str, outcome: &'static str) {
    counter!("hookward_jobs_total", "route" => route.to_owned(), "outcome" => outcome).increment(1);
}

/// Records `hookward_step_seconds{route,handler}`: how long a step ran.
pub(crate) fn record_step_duration(route: &str, handler: &str, duration: Duration) {
    let labels = [("route", route.to_owned()), ("handler", handler.to_owned())];
    histogram!("hookward_step_seconds", &labels).record(duration.as_secs_f64());
}

/// Sets `hookward_breaker_state{handler,route,step}`: 0 closed, 1 half open, 2 open.
pub(crate) fn set_breaker_state(handler: &str, route: &str, step: &str, state: f64) {
    let labels =
        [("handler", handler.to_owned()), ("route", route.to_owned()), ("step", step.to_owned())];
    gauge!("hookward_breaker_state", &labels).set(state);
}

/// Sets `hookward_queue_depth{route}`: jobs that wait or run.
pub(crate) fn set_queue_depth(route: &str, open_jobs: u64) {
    #[expect(
        clippy::cast_precision_loss,
        reason = "a gauge is a float; counts are far below 2^52"
    )]
    gauge!("hookward_queue_depth", "route" => route.to_owned()).set(open_jobs as f64);
}

/// Sets `hookward_oldest_pending_seconds`: age of the oldest event with a waiting job; 0 without
/// one.
pub(crate) fn set_oldest_pending_age(age: Duration) {
    gauge!("hookward_oldest_pending_seconds").set(age.as_secs_f64());
}

// Log lines of the ingest pipeline.

/// Logs an accepted delivery at INFO, one line each: the audit trail. `event` is the id of its
/// first event.
pub(crate) fn log_accepted(
    source: &str,
    event: &str,
    event_type: Option<&str>,
    outcome: &'static str,
    jobs: usize,
) {
    tracing::info!(source, event, event_type, outcome, jobs, "delivery stored");
}

/// Logs a duplicate; `of` is the first event of the delivery that it repeats.
pub(crate) fn log_duplicate(source: &str, of: &str, by: &'static str) {
    tracing::info!(source, of, by, "duplicate answered");
}

/// Logs a rejected request: the code that the sender sees, and the reason that it does not see.
/// `left_out` counts the rejections of this source and code that were not logged before this one.
pub(crate) fn log_rejection(
    source: &str,
    code: &'static str,
    status: u16,
    client: Option<IpAddr>,
    reason: &str,
    left_out: u64,
) {
    let client = client.map(tracing::field::display);
    let left_out = (left_out > 0).then_some(left_out);
    tracing::info!(source, code, status, client, reason, left_out, "request rejected");
}

/// Logs a request on a path of no source: the path, the source that was probably meant and in what
/// its path differs, and how many such requests before it were not logged (`left_out`).
pub(crate) fn log_unknown_path(
    path: &str,
    client: Option<IpAddr>,
    nearest: Option<&str>,
    differs_by: Option<&str>,
    left_out: u64,
) {
    let client = client.map(tracing::field::display);
    let left_out = (left_out > 0).then_some(left_out);
    tracing::info!(path, client, nearest, differs_by, left_out, "unknown path");
}

/// Logs an answered set-up handshake.
pub(crate) fn log_handshake(source: &str, status: u16) {
    tracing::info!(source, status, "handshake answered");
}

/// Logs that a secret which the sender announced in a handshake was written to its file.
pub(crate) fn log_secret_stored(source: &str, file: &Path) {
    tracing::warn!(source, file = %file.display(), "sender's secret stored");
}

/// Logs that a secret which the sender announced could not be written. The sender got 503 and tries
/// again.
pub(crate) fn log_secret_not_stored(source: &str, file: &Path, reason: &str) {
    tracing::error!(source, file = %file.display(), reason, "sender's secret not stored");
}

// Log lines about clocks, store, configuration and run_state.

/// Logs a step of the wall clock. For the next minute, stale signatures get 503 instead of 401.
pub(crate) fn log_clock_step(by: Duration, forward: bool) {
    let by = humantime::format_duration(Duration::from_secs(by.as_secs()));
    tracing::warn!(%by, forward, "wall clock stepped: stale signatures get 503 for a minute");
}

/// Logs that the wall clock differs from the retention clock, which follows it after a day.
pub(crate) fn log_clock_in_doubt(doubt: Doubt) {
    let (by, ahead) = match doubt {
        Doubt::Ahead(by) => (by, true),
        Doubt::Behind(by) => (by, false),
        Doubt::Unread => return,
    };
    let by = humantime::format_duration(Duration::from_secs(by.as_secs()));
    tracing::warn!(
        %by,
        ahead,
        "wall clock in doubt: retention does not follow it for a day, and no dead letter is removed"
    );
}

/// Logs a failed call of the store. A sender that waited for it got 503 and tries again.
pub(crate) fn log_store_error(operation: &'static str, reason: &str) {
    tracing::error!(operation, reason, "store call failed");
}

/// Logs that a call of the store panicked. Omits what the panic said, which may quote stored data.
pub(crate) fn log_store_panic(operation: &'static str) {
    tracing::error!(operation, "store call panicked: unknown whether it took effect");
}

/// Logs a configuration that was put in force.
pub(crate) fn log_reloaded(sources: usize, routes: usize) {
    tracing::info!(sources, routes, "configuration reloaded");
}

// Log lines of the worker.

/// Logs a failed step. `hookward_jobs_total` counts what followed.
pub(crate) fn log_step_failed(
    route: &str,
    step: &str,
    job: JobId,
    attempt: u32,
    outcome: &str,
    reason: &str,
) {
    tracing::warn!(route, step, job = %job, attempt, outcome, reason, "step failed");
}

/// Logs a job that became a dead letter. `hookward_jobs_total` counts it.
pub(crate) fn log_dead_letter(route: &str, job: JobId, reason: &str) {
    tracing::warn!(route, job = %job, reason, "job dead");
}

/// Logs a job whose lease was lost. Another worker may have the job, so this one's result does not
/// count.
pub(crate) fn log_lease_lost(route: &str, job: JobId) {
    tracing::warn!(route, job = %job, "lease lost");
}

/// Logs a breaker that opened: its route gets no jobs during the cooldown.
pub(crate) fn log_breaker_opened(route: &str, step: &str, failures: u32, cooldown: Duration) {
    let cooldown = humantime::format_duration(cooldown);
    tracing::warn!(route, step, failures, %cooldown, "breaker opened");
}

/// Logs a breaker that closed: its route gets jobs again.
pub(crate) fn log_breaker_closed(route: &str, step: &str) {
    tracing::info!(route, step, "breaker closed");
}

/// Logs a panic in a task of the worker: a bug in the engine. The process stops accepting and ends,
/// and a new one recovers.
pub(crate) fn log_worker_panic(task: &'static str) {
    tracing::error!(task, "worker task panicked: the process stops");
}

/// Logs that the worker stopped: how many jobs ended in time, and how many were released
/// unfinished.
pub(crate) fn log_worker_stopped(finished: usize, released: usize) {
    tracing::info!(finished, released, "worker stopped");
}
