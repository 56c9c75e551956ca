//! The format of the file: whose it is, which one, and the steps from older ones.

use std::path::Path;

use hookward_core::store::OpenError;
use rusqlite::Connection;

use crate::open::cannot;

/// "HKWD", in the header of the file.
const APPLICATION_ID: i32 = 0x484b_5744;

/// Each step raises the format by one.
const STEPS: [&str; 1] = [include_str!("migrations/0001_first.sql")];

/// Refuses what is not ours; brings what is ours to the newest format.
pub(crate) fn migrate(conn: &Connection, path: &Path) -> Result<(), OpenError> {
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
    for (step, sql) in STEPS.iter().enumerate().skip(format) {
        let number = step + 1;
        conn.execute_batch(&format!(
            "begin immediate; {sql}; pragma application_id = {APPLICATION_ID}; \
             pragma user_version = {number}; commit;"
        ))
        .map_err(cannot)?;
    }
    Ok(())
}
