//! The format of the file: whose it is, which one, and the steps from older ones.

use std::path::Path;

use hookward_core::store::OpenError;
use rusqlite::{Connection, Result, Row};

use crate::open::cannot;
use crate::write_behind_index::id_hash;

/// "HKWD", in the header of the file.
const APPLICATION_ID: i32 = 0x484b_5744;

type Then = fn(&Connection) -> Result<()>;

/// Each step raises the format by one; what SQL cannot say comes after it.
const STEPS: [(&str, Then); 3] = [
    (include_str!("migrations/0001_first.sql"), |_| Ok(())),
    (include_str!("migrations/0002_late_index.sql"), hash_event_ids),
    (include_str!("migrations/0003_checksums.sql"), |_| Ok(())),
];

/// Refuses what is not ours; brings what is ours to the newest format.
pub(crate) fn migrate(conn: &Connection, path: &Path) -> std::result::Result<(), OpenError> {
    let cannot = |e: rusqlite::Error| cannot(path, &e);
    let number = |pragma| conn.pragma_query_value(None, pragma, |row| row.get::<_, i32>(0));
    let application = number("application_id").map_err(cannot)?;
    let format = number("user_version").map_err(cannot)?;
    let tables: i64 = conn
        .query_row("select count(*) from sqlite_schema", [], |row| row.get(0))
        .map_err(cannot)?;
    if application != APPLICATION_ID && (application, format, tables) != (0, 0, 0) {
        return Err(OpenError(format!(
            "{} is the database of another program (application_id {application:#010x}); name \
             another file in `store:`",
            path.display()
        )));
    }
    let format = usize::try_from(format).unwrap_or(usize::MAX);
    if format > STEPS.len() {
        return Err(OpenError(format!(
            "{} has format {format}, and this version knows formats up to {}; use the version of \
             hookward that wrote it, or a newer one",
            path.display(),
            STEPS.len()
        )));
    }
    if format == 0 {
        // Lets a purge give pages back. Only a file without tables takes it.
        conn.execute_batch("pragma auto_vacuum = incremental").map_err(cannot)?;
    }
    for (step, (sql, then)) in STEPS.iter().enumerate().skip(format) {
        let number = step + 1;
        conn.execute_batch(&format!("begin immediate; {sql}"))
            .and_then(|()| then(conn))
            .and_then(|()| {
                conn.execute_batch(&format!(
                    "pragma application_id = {APPLICATION_ID}; pragma user_version = {number}; \
                     commit;"
                ))
            })
            .map_err(cannot)?;
    }
    Ok(())
}

/// Fills `event_ids`. Some 100,000 at a time, in the order of the table, lest it takes its memory
/// or its time by the million.
fn hash_event_ids(conn: &Connection) -> Result<()> {
    let mut some = conn.prepare(
        "select event_id, seq from events where seq > ?1 and event_id is not null
         order by seq limit 100000",
    )?;
    let mut add = conn.prepare("insert into event_ids (hash, event) values (?1, ?2)")?;
    let mut last = 0;
    loop {
        let read = |row: &Row<'_>| Ok((id_hash(row.get_ref(0)?.as_str()?), row.get::<_, i64>(1)?));
        let mut ids: Vec<_> = some.query_map([last], read)?.collect::<Result<_>>()?;
        let Some((_, seq)) = ids.last() else { return Ok(()) };
        last = *seq;
        ids.sort_unstable();
        for (hash, seq) in ids {
            add.execute([hash, seq])?;
        }
    }
}
