//! The measurements and log lines of this store, each an item.

use std::time::Duration;

use hookward_core::store::StoreError;

/// `hookward_store_commit_seconds`, a histogram: how long one commit took until it was durable. One
/// commit holds what all waiting callers asked for.
pub(crate) fn committed(took: Duration) {
    metrics::histogram!("hookward_store_commit_seconds").record(took);
}

/// `hookward_store_wal_bytes`, a gauge: how long the write-ahead log is. It stays near 4 MiB, or what the
/// largest group took; if it grows on, checkpoints fail, which SQLite keeps to itself.
pub(crate) fn log_is(bytes: u64) {
    metrics::gauge!("hookward_store_wal_bytes").set(bytes as f64);
}

/// A group of changes was rolled back; everyone who waited for it was told. Said at ERROR, because
/// senders are being sent away.
pub(crate) fn rolled_back(error: &StoreError) {
    tracing::error!(%error, "the store took nothing in");
}

/// New keys could not be written to their tables. They stay in memory, and another try follows; said
/// at WARN, because memory grows as long as that fails.
pub(crate) fn not_indexed(error: &StoreError) {
    tracing::warn!(%error, "the store could not write its index");
}

/// Jobs were running when the process before this one ended. Said once, at start.
pub(crate) fn recovered(jobs: usize, poison: usize) {
    tracing::warn!(
        jobs,
        poison,
        "the process before this one ended while jobs ran: they run again, poison ones are dead"
    );
}

/// A row is not as it was written: the disk changed it. Nothing of it is used; said at ERROR.
pub(crate) fn damaged(what: &str, event: i64) {
    tracing::error!(event, "the disk changed {what} of the store: it is not used");
}

/// Little room is left on the disk: senders get 503 until there is more. Said once, at WARN.
pub(crate) fn room_low(free: u64, mark: u64) {
    tracing::warn!(
        free,
        mark,
        "little room is left on the disk of the store: nothing new is taken in"
    );
}

/// There is room again. Said once.
pub(crate) fn room_again(free: u64) {
    tracing::info!(free, "there is room on the disk of the store again");
}

/// The disk is full to the last byte; what was kept aside goes to what was begun. Said at WARN.
pub(crate) fn reserve_given_up() {
    tracing::warn!("the disk of the store is full: the reserve is given up for what was begun");
}
