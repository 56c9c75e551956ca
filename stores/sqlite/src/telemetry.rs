//! The metrics and log lines of this store, one function each.

use std::path::Path;
use std::time::Duration;

use hookward_core::store::StoreError;

/// `hookward_store_commit_seconds`, a histogram: time until one commit was durable. One commit
/// serves all commands that waited.
pub(crate) fn record_commit(took: Duration) {
    metrics::histogram!("hookward_store_commit_seconds").record(took);
}

/// `hookward_store_wal_bytes`, a gauge: size of the write-ahead log. It stays near 4 MiB, or the
/// size of the largest group. If it keeps growing, checkpoints fail, which SQLite does not report.
pub(crate) fn set_wal_bytes(bytes: u64) {
    metrics::gauge!("hookward_store_wal_bytes").set(bytes as f64);
}

/// A group was rolled back, and all its callers got the error. Logged at ERROR, because senders get
/// an error too.
pub(crate) fn group_failed(error: &StoreError) {
    tracing::error!(%error, "store commit failed: nothing was stored");
}

/// New keys could not be written to their tables. They stay in memory, and the flush is tried
/// again. Logged at WARN, because memory grows while it fails.
pub(crate) fn index_flush_failed(error: &StoreError) {
    tracing::warn!(%error, "store index flush failed: it is tried again after the next commit");
}

/// Jobs were running when the former process ended. Logged once, at start.
pub(crate) fn jobs_interrupted(jobs: usize, poison: usize) {
    tracing::warn!(
        jobs,
        poison,
        "store recovered: jobs that ran when the former process ended run again, except poison \
         jobs, which are dead"
    );
}

/// A row's checksum does not match: the disk changed it. It is not used. Logged at ERROR.
pub(crate) fn row_corrupt(what: &str, event: i64) {
    tracing::error!(event, "store row corrupt: the disk changed {what}, which is not used");
}

/// Little disk space is free: senders get 503. Logged once per change, at WARN.
pub(crate) fn disk_space_low(free: u64, minimum: u64) {
    tracing::warn!(free, minimum, "store disk space low: deliveries are rejected");
}

/// Enough disk space is free again. Logged once per change.
pub(crate) fn disk_space_recovered(free: u64) {
    tracing::info!(free, "store disk space recovered: deliveries are accepted");
}

/// The disk is full, and the reserve file was removed. Logged at WARN.
pub(crate) fn reserve_released() {
    tracing::warn!("store disk full: released the reserve so that in-flight work can commit");
}

/// The high-water mark could not be written. Logged once until a write succeeds, at WARN: the store
/// works without it, but the next start may not find that files were lost.
pub(crate) fn mark_failed(path: &Path, error: &std::io::Error) {
    tracing::warn!(
        path = %path.display(),
        %error,
        "store mark not written: a start may not find that files were lost"
    );
}

/// Other users of the machine can read or change a file of the store. Logged at start, at WARN.
pub(crate) fn open_permissions(problem: &str) {
    tracing::warn!(problem, "store open to others: its files hold payloads as they were received");
}

/// The high-water mark cannot be understood. Logged at start, at WARN.
pub(crate) fn mark_unreadable(path: &Path) {
    tracing::warn!(
        path = %path.display(),
        "store mark unreadable: whether files were lost cannot be checked; it is written anew"
    );
}
