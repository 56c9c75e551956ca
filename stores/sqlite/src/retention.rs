//! Keeps the state of the engine's retention clock, for the next owner.

use std::time::Duration;

use hookward_core::Timestamp;
use hookward_core::store::RetentionState;
use rusqlite::{Connection, OptionalExtension, Result};

/// Name of the counter with the time that the clock showed, in milliseconds since 1970.
const AT: &str = "retention_at";
/// Name of the counter with the time for which the wall clock was in doubt, in milliseconds.
const IN_DOUBT_FOR: &str = "retention_in_doubt_for";

/// Reads the state that was saved last.
pub(crate) fn read_state(conn: &Connection) -> Result<Option<RetentionState>> {
    // One statement, so that both values are of one commit.
    let mut found = conn.prepare_cached(
        "select a.value, d.value from meta a join meta d on d.name = ?2 where a.name = ?1",
    )?;
    let read = |row: &rusqlite::Row<'_>| {
        let in_doubt_for = u64::try_from(row.get::<_, i64>(1)?).unwrap_or(0);
        let at = Timestamp::from_millis(row.get(0)?);
        Ok(RetentionState::new(at, Duration::from_millis(in_doubt_for)))
    };
    found.query_row([AT, IN_DOUBT_FOR], read).optional()
}

/// Writes the state.
pub(crate) fn write_state(conn: &Connection, state: RetentionState) -> Result<()> {
    let in_doubt_for = i64::try_from(state.in_doubt_for.as_millis()).unwrap_or(i64::MAX);
    for (name, value) in [(AT, state.at.as_millis()), (IN_DOUBT_FOR, in_doubt_for)] {
        conn.prepare_cached(
            "insert into meta (name, value, sum) values (?1, ?2, checksum(?1, ?2))
             on conflict do update set value = excluded.value, sum = excluded.sum",
        )?
        .execute((name, value))?;
    }
    Ok(())
}
