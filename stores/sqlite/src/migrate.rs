//! The format of the file: recognizes files of this store, and migrates older formats.

use std::path::Path;

use hookward_core::store::OpenError;
use rusqlite::{Connection, Result, Row};

use crate::error::open_error;
use crate::write_behind_index::id_hash;

/// `HKWD`, in the header of each file of this store.
pub(crate) const APPLICATION_ID: i32 = 0x484b_5744;

/// The format that this version writes.
pub(crate) const NEWEST_FORMAT: usize = 6;

/// The part of a migration that SQL cannot do, in the same transaction.
type AfterSql = fn(&Connection) -> Result<()>;

/// The migrations: number N leads to format N. They never change once released, or files
/// of one format would differ.
const MIGRATIONS: [(&str, AfterSql); NEWEST_FORMAT] = [
    (include_str!("migrations/0001_first.sql"), |_| Ok(())),
    (include_str!("migrations/0002_late_index.sql"), hash_event_ids),
    (include_str!("migrations/0003_checksums.sql"), |_| Ok(())),
    (include_str!("migrations/0004_content_duplicates.sql"), |_| Ok(())),
    (include_str!("migrations/0005_store_id.sql"), |_| Ok(())),
    (include_str!("migrations/0006_purged_keys.sql"), |_| Ok(())),
];

/// Migrates a file to the newest format; an empty file starts at format 0.
///
/// # Errors
///
/// The file is of another program, or of a newer version with a format that this one does not know.
pub(crate) fn migrate(conn: &Connection, path: &Path) -> std::result::Result<(), OpenError> {
    let open_error = |e: rusqlite::Error| open_error(path, &e);
    let number = |pragma| conn.pragma_query_value(None, pragma, |row| row.get::<_, i32>(0));
    let application = number("application_id").map_err(open_error)?;
    let format = number("user_version").map_err(open_error)?;
    let tables: i64 = conn
        .query_row("select count(*) from sqlite_schema", [], |row| row.get(0))
        .map_err(open_error)?;
    // An empty file has neither number nor table. Everything else that is not marked as ours stays
    // untouched.
    if application != APPLICATION_ID && (application, format, tables) != (0, 0, 0) {
        return Err(OpenError::new(format!(
            "{} is the database of another program (application_id {application:#010x}); name \
             another file in `store:`",
            path.display()
        )));
    }
    let format = usize::try_from(format).unwrap_or(usize::MAX);
    // A newer version may store what this one would not keep up to date, such as another sum.
    if format > MIGRATIONS.len() {
        return Err(OpenError::new(format!(
            "{} has format {format}, and this version of hookward knows formats up to {}; use the \
             version that wrote the file, or a newer one",
            path.display(),
            MIGRATIONS.len()
        )));
    }
    if format == 0 {
        // Lets a purge return pages to the file system. Only a file without tables accepts it.
        conn.execute_batch("pragma auto_vacuum = incremental").map_err(open_error)?;
    }
    for (index, (sql, after_sql)) in MIGRATIONS.iter().enumerate().skip(format) {
        let number = index + 1;
        // One transaction with the number of the format: a crash leaves the old format or the new
        // one, and the next start continues from there.
        conn.execute_batch(&format!("begin immediate; {sql}"))
            .and_then(|()| after_sql(conn))
            .and_then(|()| {
                conn.execute_batch(&format!(
                    "pragma application_id = {APPLICATION_ID}; pragma user_version = {number}; \
                     commit;"
                ))
            })
            .map_err(open_error)?;
    }
    Ok(())
}

/// Fills `event_ids`, 100,000 events at a time, so that a file with millions of events needs little
/// memory; sorted, so that inserts share pages.
fn hash_event_ids(conn: &Connection) -> Result<()> {
    let mut page = conn.prepare(
        "select event_id, seq from events where seq > ?1 and event_id is not null
         order by seq limit 100000",
    )?;
    let mut add = conn.prepare("insert into event_ids (hash, event) values (?1, ?2)")?;
    let mut last = 0;
    loop {
        let read = |row: &Row<'_>| Ok((id_hash(row.get_ref(0)?.as_str()?), row.get::<_, i64>(1)?));
        let mut ids: Vec<_> = page.query_map([last], read)?.collect::<Result<_>>()?;
        let Some((_, seq)) = ids.last() else { return Ok(()) };
        // Before the sort, which changes the order.
        last = *seq;
        ids.sort_unstable();
        for (hash, seq) in ids {
            add.execute([hash, seq])?;
        }
    }
}
