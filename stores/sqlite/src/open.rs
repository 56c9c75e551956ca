//! Opening: the lock, the file, the settings on which durability rests, the recovery of what a
//! former owner left behind. What stands in the way is told with what to do.

use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use hookward_core::Timestamp;
use hookward_core::store::{OpenError, StoreError};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::checksum;
use crate::disk_space::Room;
use crate::error::{is_damage, store_error};
use crate::lock::{Lock, one_name};
use crate::migrate::migrate;
use crate::writer::Writer;

/// Beside the writer, so many connections read.
pub(crate) const READERS: usize = 3;

/// A file of up to so many bytes is looked at as a whole at each start, which takes a tenth of a second
/// at most.
const WHOLE: i64 = 32 * 1024 * 1024;

/// Opens the file at `path`, creating it where there is none. Blocks.
pub(crate) fn open(path: &Path, now: Timestamp) -> Result<(Writer, Vec<Connection>), OpenError> {
    if path.is_dir() {
        return Err(OpenError(format!(
            "{} is a folder; name a file in it, such as {}",
            path.display(),
            path.join("hookward.db").display()
        )));
    }
    let path = &one_name(path)?;
    let lock = Lock::take(path)?;
    let room = Room::of(path);
    let say = |e: rusqlite::Error| cannot(path, &e);
    crate::wal_check::check(path)?;
    let conn = connect(path, OpenFlags::SQLITE_OPEN_CREATE).map_err(say)?;
    whole(&conn, path)?;
    migrate(&conn, path)?;
    // The log begins anew: what a former owner left half written in it must not lie behind, and be
    // taken for, what is written now.
    conn.execute_batch(
        "pragma journal_mode = wal;
         pragma synchronous = full;
         pragma fullfsync = on;
         pragma checkpoint_fullfsync = on;
         pragma wal_autocheckpoint = 1000;
         pragma cache_size = -32768;
         pragma temp_store = memory;
         pragma wal_checkpoint(truncate);",
    )
    .map_err(say)?;
    durable(&conn, path)?;
    let readers = (0..READERS).map(|_| reader(path)).collect::<Result<Vec<_>, _>>().map_err(say)?;
    let writer = Writer::new(conn, lock, room, now).map_err(say)?;
    keep_names(path)?;
    Ok((writer, readers))
}

/// Syncs the folder once the log is there, which stays the same file until it is closed. SQLite does
/// so, too, but takes no notice if it fails; and then a power cut can take the log out of the folder,
/// with all that was answered since.
fn keep_names(path: &Path) -> Result<(), OpenError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    match std::fs::File::open(folder).and_then(|folder| folder.sync_all()) {
        // Some file systems keep names without being asked, and cannot be.
        Err(e) if !matches!(e.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => {
            Err(OpenError(format!(
                "the folder of {} cannot be synced ({e}): a power cut could lose answered events",
                path.display()
            )))
        }
        _ => Ok(()),
    }
}

/// Reads back what an answer 200 rests on: a commit must be on the disk when it returns.
pub(crate) fn durable(conn: &Connection, path: &Path) -> Result<(), OpenError> {
    let say = |e: rusqlite::Error| cannot(path, &e);
    let mode: String =
        conn.pragma_query_value(None, "journal_mode", |row| row.get(0)).map_err(say)?;
    let synchronous: i64 =
        conn.pragma_query_value(None, "synchronous", |row| row.get(0)).map_err(say)?;
    if mode != "wal" {
        return Err(OpenError(format!(
            "{} cannot keep a write-ahead log (its journal is `{mode}`); put it on a local disk \
             whose file system has shared memory and locks",
            path.display()
        )));
    }
    if synchronous < 2 {
        return Err(OpenError(format!(
            "{} does not sync each commit (synchronous is {synchronous}, wanted 2, FULL): a power \
             cut could lose answered events",
            path.display()
        )));
    }
    Ok(())
}

/// Looks at all of a file that is soon read: its structure, and that indexes and tables agree. Larger
/// ones are looked at where they are read.
fn whole(conn: &Connection, path: &Path) -> Result<(), OpenError> {
    let say = |e: rusqlite::Error| cannot(path, &e);
    let number = |pragma| conn.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
    let bytes =
        number("page_count").map_err(say)?.saturating_mul(number("page_size").map_err(say)?);
    if bytes > WHOLE {
        return Ok(());
    }
    let found: String =
        conn.query_row("pragma integrity_check(1)", [], |row| row.get(0)).map_err(say)?;
    if found == "ok" { Ok(()) } else { Err(damaged(path, &found)) }
}

/// A path is a path: no `file:` with options.
fn connect(path: &Path, flags: OpenFlags) -> rusqlite::Result<Connection> {
    let common = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, common | flags)?;
    conn.busy_timeout(Duration::from_secs(5))?;
    conn.set_prepared_statement_cache_capacity(64);
    // Else a statement is planned anew whenever another value is bound to it, which costs more
    // than most of them do.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    // A damaged page must not lead it astray.
    conn.execute_batch("pragma cell_size_check = on; pragma trusted_schema = off")?;
    checksum::install(&conn)?;
    Ok(conn)
}

fn reader(path: &Path) -> rusqlite::Result<Connection> {
    let conn = connect(path, OpenFlags::empty())?;
    conn.execute_batch("pragma query_only = on; pragma cache_size = -4096")?;
    Ok(conn)
}

fn damaged(path: &Path, found: &str) -> OpenError {
    OpenError(format!(
        "{} is damaged ({}); restore it from a backup, or move it away to start anew",
        path.display(),
        found.replace('\n', " ")
    ))
}

/// In an operator's words.
pub(crate) fn cannot(path: &Path, error: &rusqlite::Error) -> OpenError {
    let file = path.display();
    if let StoreError::Full(words) = store_error(error) {
        return OpenError(format!("there is no room for {file}: {words}"));
    }
    OpenError(match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => {
            format!("{file} is not an SQLite database; name another file in `store:`")
        }
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => format!(
            "{file} cannot be written ({error}); the store needs a file, and a folder, that this \
             user may write"
        ),
        Some(ErrorCode::DatabaseCorrupt) => return damaged(path, &error.to_string()),
        None if is_damage(error) => return damaged(path, &error.to_string()),
        _ => format!("{file} cannot be opened: {error}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_does_not_sync_each_commit_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let conn = Connection::open(&path).unwrap();
        conn.execute_batch("pragma journal_mode = wal; pragma synchronous = full").unwrap();
        assert_eq!(durable(&conn, &path), Ok(()));
        conn.execute_batch("pragma synchronous = normal").unwrap();
        assert!(durable(&conn, &path).unwrap_err().0.contains("power cut"));
        conn.execute_batch("pragma synchronous = full; pragma journal_mode = delete").unwrap();
        assert!(durable(&conn, &path).unwrap_err().0.contains("write-ahead"));
    }
}
