//! Checksums of rows. A disk can give back other bytes than it was given, and SQLite notices that
//! only where its own structure is hit. So each row carries the CRC-32 of its columns, made and
//! compared by the SQL function `checksum`, and what does not match is never handed out.

use std::sync::LazyLock;

use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Result};

/// The columns of a job that its `sum` is made of, in their order.
const JOB: [&str; 17] = [
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

/// Makes `checksum(…)` known to a connection.
pub(crate) fn install(conn: &Connection) -> Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8
        | FunctionFlags::SQLITE_DETERMINISTIC
        | FunctionFlags::SQLITE_INNOCUOUS;
    conn.create_scalar_function(c"checksum", -1, flags, |cx| Ok(checksum(cx)))
}

/// Each value with its kind and length, so that no two rows read the same.
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
        sum.update(&(bytes.len() as u64).to_le_bytes());
        sum.update(bytes);
    }
    i64::from(sum.finalize().cast_signed())
}

/// A statement on jobs that keeps their sums true.
pub(crate) type JobUpdate = LazyLock<String>;

/// `update jobs set …`, the sum made of the new values where there are any.
pub(crate) fn job_update(set: &[(&str, &str)], rest: &str) -> String {
    let new = |column: &str| set.iter().find(|(name, _)| *name == column).map(|(_, new)| *new);
    let columns: Vec<_> = JOB.iter().map(|column| new(column).unwrap_or(column)).collect();
    let set: Vec<_> = set.iter().map(|(name, new)| format!("{name} = {new}")).collect();
    format!("update jobs set {}, sum = checksum({}) {rest}", set.join(", "), columns.join(", "))
}

/// Whether a row is as it was written, for a `select`.
macro_rules! row_intact {
    (jobs $t:literal) => {
        concat!(
            "coalesce(",
            $t,
            ".sum = checksum(",
            $t,
            ".event, ",
            $t,
            ".n, ",
            $t,
            ".route, ",
            $t,
            ".state, ",
            $t,
            ".due, ",
            $t,
            ".attempt, ",
            $t,
            ".crashes, ",
            $t,
            ".replay, ",
            $t,
            ".config_hash, ",
            $t,
            ".token, ",
            $t,
            ".started, ",
            $t,
            ".order_key, ",
            $t,
            ".step, ",
            $t,
            ".cause, ",
            $t,
            ".reason, ",
            $t,
            ".body, ",
            $t,
            ".attempts), 1)"
        )
    };
    (events $t:literal) => {
        concat!(
            "coalesce(",
            $t,
            ".sum = checksum(",
            $t,
            ".seq, ",
            $t,
            ".delivery, ",
            $t,
            ".id, ",
            $t,
            ".source, ",
            $t,
            ".received_at, ",
            $t,
            ".status, ",
            $t,
            ".event_type, ",
            $t,
            ".event_id, ",
            $t,
            ".part, ",
            $t,
            ".keys, ",
            $t,
            ".notes), 1)"
        )
    };
    (body $t:literal) => {
        concat!(
            "coalesce(",
            $t,
            ".body_sum = checksum(",
            $t,
            ".id, ",
            $t,
            ".headers, ",
            $t,
            ".body), 1)"
        )
    };
    (answer $t:literal) => {
        concat!(
            "coalesce(",
            $t,
            ".answer_sum = checksum(",
            $t,
            ".id, ",
            $t,
            ".events, ",
            $t,
            ".answer), 1)"
        )
    };
}
pub(crate) use row_intact;

#[cfg(test)]
mod tests {
    use super::*;

    fn conn() -> Connection {
        let conn = Connection::open_in_memory().unwrap();
        install(&conn).unwrap();
        conn
    }

    fn sum(conn: &Connection, of: &str) -> i64 {
        conn.query_row(&format!("select checksum({of})"), [], |row| row.get(0)).unwrap()
    }

    /// It is in files: what it gives must never change.
    #[test]
    fn it_is_the_same_in_every_version() {
        let conn = conn();
        assert_eq!(sum(&conn, ""), 0);
        assert_eq!(sum(&conn, "1, 'a', x'00ff', null"), 1_238_212_831);
    }

    #[test]
    fn kinds_borders_and_order_count() {
        let conn = conn();
        let values =
            ["1", "'1'", "x'31'", "null", "null, null", "'a', 'b'", "'ab', ''", "'b', 'a'"];
        let sums: std::collections::HashSet<_> = values.iter().map(|v| sum(&conn, v)).collect();
        assert_eq!(sums.len(), values.len());
    }

    #[test]
    fn an_update_sums_up_the_new_values() {
        let sql = job_update(&[("state", "?2"), ("token", "null")], "where event = ?1");
        assert!(
            sql.starts_with("update jobs set state = ?2, token = null, sum = checksum(event, n")
        );
        assert!(sql.contains("route, ?2, due"), "{sql}");
        assert!(sql.contains("config_hash, null, started"), "{sql}");
        assert!(sql.ends_with("attempts) where event = ?1"), "{sql}");
    }

    /// The sums are of the columns that the tables have, and of all of them.
    #[test]
    fn every_column_counts() {
        let folder = tempfile::tempdir().unwrap();
        let now = hookward_testkit::store::now();
        let (writer, _) = crate::open::open(&folder.path().join("a.db"), now).unwrap();
        for (table, sql) in [("jobs", row_intact!(jobs "t")), ("events", row_intact!(events "t"))] {
            let columns: String = writer
                .conn
                .query_row(
                    &format!(
                        "select group_concat('t.' || name, ', ') from pragma_table_info('{table}')
                         where name <> 'sum'"
                    ),
                    [],
                    |row| row.get(0),
                )
                .unwrap();
            assert!(sql.contains(&format!("checksum({columns})")), "{sql}: {columns}");
        }
        assert!(row_intact!(jobs "t").contains(&JOB.join(", t.")));
    }
}
