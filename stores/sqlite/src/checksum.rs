//! Checksums of rows. A disk can return other bytes than were written, and SQLite notices that only
//! in its own structures, not in values. So each row has the CRC-32 of its columns, computed and
//! compared by the SQL function `checksum`. A row that does not match reaches no handler and no
//! sender.

use std::sync::LazyLock;

use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Result};

/// The columns that the `sum` of a job covers, in the order of its table.
const JOB_COLUMNS: [&str; 17] = [
    "event",
    "n",
    "route",
    "state",
    "due",
    "attempt",
    "crashes",
    "replay",
    "config_hash",
    "token",
    "started",
    "order_key",
    "step",
    "cause",
    "reason",
    "body",
    "attempts",
];

/// Adds the SQL function `checksum(…)` to a connection.
pub(crate) fn install(conn: &Connection) -> Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8
        | FunctionFlags::SQLITE_DETERMINISTIC
        | FunctionFlags::SQLITE_INNOCUOUS;
    conn.create_scalar_function(c"checksum", -1, flags, |cx| Ok(checksum(cx)))
}

/// CRC-32 of the values of a row. Each value is preceded by its kind and length, so that `'ab', ''`
/// and `'a', 'b'` differ. Part of the on-disk format; changing it needs a migration.
fn checksum(cx: &Context<'_>) -> i64 {
    let mut sum = crc32fast::Hasher::new();
    for n in 0..cx.len() {
        let (kind, bytes): (u8, &[u8]) = match cx.get_raw(n) {
            ValueRef::Null => (0, &[]),
            ValueRef::Integer(value) => (1, &value.to_le_bytes()),
            ValueRef::Real(value) => (2, &value.to_bits().to_le_bytes()),
            ValueRef::Text(bytes) => (3, bytes),
            ValueRef::Blob(bytes) => (4, bytes),
        };
        sum.update(&[kind]);
        // In a fixed byte order, because a file may move to another machine.
        sum.update(&(bytes.len() as u64).to_le_bytes());
        sum.update(bytes);
    }
    i64::from(sum.finalize().cast_signed())
}

/// A statement that changes jobs together with their `sum`.
pub(crate) type JobUpdate = LazyLock<String>;

/// Builds `update jobs set …, sum = checksum(…)`, with the new values of the columns that are set.
pub(crate) fn job_update(set: &[(&str, &str)], rest: &str) -> String {
    let new = |column: &str| set.iter().find(|(name, _)| *name == column).map(|(_, new)| *new);
    // SQLite computes expressions of `set` from the old row. A column that changes has to stand in
    // the sum with its new expression, or the sum would be of the old value.
    let columns: Vec<_> = JOB_COLUMNS.iter().map(|column| new(column).unwrap_or(column)).collect();
    let set: Vec<_> = set.iter().map(|(name, new)| format!("{name} = {new}")).collect();
    format!("update jobs set {}, sum = checksum({}) {rest}", set.join(", "), columns.join(", "))
}

/// SQL for whether a row is as it was written: `row_intact!(jobs "j")` for the row that a statement
/// names `j`. Rows of formats before 3 have no sum and pass.
macro_rules! row_intact {
    (jobs $t:literal) => {
        $crate::checksum::row_intact!(@sum $t, "sum",
            "event" "n" "route" "state" "due" "attempt" "crashes" "replay" "config_hash"
            "token" "started" "order_key" "step" "cause" "reason" "body" "attempts")
    };
    (events $t:literal) => {
        $crate::checksum::row_intact!(@sum $t, "sum",
            "seq" "delivery" "id" "source" "received_at" "status" "event_type" "event_id"
            "part" "keys" "notes")
    };
    (body $t:literal) => {
        $crate::checksum::row_intact!(@sum $t, "body_sum",
            "id" "headers" "body")
    };
    (answer $t:literal) => {
        $crate::checksum::row_intact!(@sum $t, "answer_sum",
            "id" "events" "answer")
    };
    (@sum $t:literal, $sum:literal, $first:literal $($column:literal)*) => {
        concat!("coalesce(", $t, ".", $sum, " = checksum(", $t, ".", $first,
            $(", ", $t, ".", $column,)* "), 1)")
    };
}
pub(crate) use row_intact;

#[cfg(test)]
mod tests;
