//! The checksum function, and the SQL that uses it.

use super::*;

fn conn() -> Connection {
    let conn = Connection::open_in_memory().unwrap();
    install(&conn).unwrap();
    conn
}

fn sum(conn: &Connection, values: &str) -> i64 {
    conn.query_row(&format!("select checksum({values})"), [], |row| row.get(0)).unwrap()
}

/// Existing files contain these sums.
#[test]
fn a_checksum_is_the_same_in_every_version() {
    let conn = conn();
    assert_eq!(sum(&conn, ""), 0);
    assert_eq!(sum(&conn, "1, 'a', x'00ff', null"), 1_238_212_831);
}

#[test]
fn a_checksum_depends_on_kinds_boundaries_and_order() {
    let conn = conn();
    let values = ["1", "'1'", "x'31'", "null", "null, null", "'a', 'b'", "'ab', ''", "'b', 'a'"];
    let sums: std::collections::HashSet<_> = values.iter().map(|v| sum(&conn, v)).collect();
    assert_eq!(sums.len(), values.len());
}

#[test]
fn an_update_computes_the_sum_of_the_new_values() {
    let sql = job_update(&[("state", "?2"), ("token", "null")], "where event = ?1");
    assert!(sql.starts_with("update jobs set state = ?2, token = null, sum = checksum(event, n"));
    assert!(sql.contains("route, ?2, due"), "{sql}");
    assert!(sql.contains("config_hash, null, started"), "{sql}");
    assert!(sql.ends_with("attempts) where event = ?1"), "{sql}");
}

#[test]
fn a_sum_covers_every_column_of_its_table() {
    let folder = tempfile::tempdir().unwrap();
    let now = hookward_testkit::store::now();
    let (writer, _) =
        crate::open::open(&folder.path().join("a.db"), now, hookward_testkit::store::POLICY)
            .unwrap();
    for (table, sql) in [("jobs", row_intact!(jobs "t")), ("events", row_intact!(events "t"))] {
        let columns: String = writer
            .connection()
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
    assert!(row_intact!(jobs "t").contains(&JOB_COLUMNS.join(", t.")));
}
