//! Opens the file: lock, log check, settings that durability needs, migration, recovery. Each error
//! says what the operator can do.

use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use hookward_core::Timestamp;
use hookward_core::store::{OpenError, StorePolicy};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use crate::checksum;
use crate::continuity::{self, Content};
use crate::disk_space::DiskSpace;
use crate::error::{damaged_file, open_error};
use crate::file_identity::FileIdentity;
use crate::high_water_mark::{self, LogState, Mark, MarkFile};
use crate::lock::{Lock, check_names, resolve_path};
use crate::migrate::migrate;
use crate::permissions;
use crate::private_file;
use crate::writer::Writer;

/// Connections that read, beside the one that writes.
pub(crate) const READ_CONNECTIONS: usize = 3;

/// Files up to this size are checked as a whole at each start, which takes 0.1 s at most.
const MAX_INTEGRITY_CHECK_BYTES: i64 = 32 * 1024 * 1024;

/// How long a statement waits for a lock of another process, such as a backup.
pub(crate) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Opens the file at `path`, or creates it. Blocks the thread.
pub(crate) fn open(
    path: &Path,
    now: Timestamp,
    policy: StorePolicy,
) -> Result<(Writer, Vec<Connection>), OpenError> {
    if path.is_dir() {
        return Err(OpenError::new(format!(
            "{} is a folder; name a file in it, such as {}",
            path.display(),
            path.join("hookward.db").display()
        )));
    }
    let path = &resolve_path(path)?;
    // First of all: without the lock, this process must not touch a file of another owner.
    let mut lock = Lock::acquire(path)?;
    let disk_space = DiskSpace::new(path);
    let open_error = |e: rusqlite::Error| open_error(path, &e);
    let mark = high_water_mark::read(path)?;
    check_names(path, mark.is_some())?;
    // Before SQLite opens the file: it drops a damaged log without a report, removes the log of an
    // empty file, and takes the log of another file for its own.
    let log = crate::wal_check::check(path)?;
    continuity::check_before_open(path, mark.as_ref(), &log)?;
    // SQLite gives the log and its index the mode of the file, so that is created first.
    private_file::create_if_missing(path)
        .map_err(|e| OpenError::new(format!(
            "{} cannot be created: {e}; the store needs a folder in which this user may create files",
            path.display()
        )))?;
    lock.lock_database(path)?;
    let conn = connect(path, OpenFlags::SQLITE_OPEN_CREATE).map_err(open_error)?;
    // A start that fails must leave a log as it was found: closing the connection would move it
    // into the database, and remove it.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, log.exists)
        .map_err(open_error)?;
    check_integrity(&conn, path)?;
    let content = Content::read(&conn).map_err(open_error)?;
    continuity::check_content(path, mark.as_ref(), &content)?;
    // Before the first write: from here on, the log changes in ways that the mark does not know.
    let mut mark = mark.map(|mark| begin_mark(path, mark)).transpose()?;
    // Before the settings: `auto_vacuum` can be set only before `journal_mode` creates the first
    // page.
    migrate(&conn, path)?;
    if content.backup.is_some() {
        // Before the file gets a log: beside one, a backup would look like a file that was put there
        // in place of another.
        conn.execute("delete from meta where name = 'backup'", []).map_err(open_error)?;
    }
    // The checkpoint starts a new log: a half-written commit of the former owner must not lie
    // behind the frames that are written now, or a later recovery could read it as one of them.
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
    .map_err(open_error)?;
    check_durability(&conn, path)?;
    let readers =
        (0..READ_CONNECTIONS).map(|_| connect_reader(path)).collect::<Result<Vec<_>, _>>();
    let readers = readers.map_err(open_error)?;
    // The readers have created the log by now.
    let identity = FileIdentity::read(path)
        .map_err(|e| OpenError::new(format!("{} cannot be checked: {e}", path.display())))?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false).map_err(open_error)?;
    let mut writer =
        Writer::new(conn, lock, disk_space, identity, now, policy).map_err(open_error)?;
    sync_folder(path)?;
    let content = writer.checkpointed_content(content.opens).map_err(open_error)?;
    start_mark(path, &mut mark, content);
    writer.set_mark(mark);
    permissions::warn_of_open_permissions(path);
    Ok((writer, readers))
}

/// Writes to the mark of a former owner that the store is being opened.
fn begin_mark(path: &Path, mark: Mark) -> Result<MarkFile, OpenError> {
    let opening = Mark { log: LogState::Opening, ..mark };
    MarkFile::begin(path, opening).map_err(|e| {
        let mark = high_water_mark::mark_path(path);
        OpenError::new(format!(
            "{} cannot be written: {e}; the store needs a file, and a mark beside it, that this user \
             may read and write",
            mark.display()
        ))
    })
}

/// Writes to the mark that the store is open, and creates it for a store that has none. An error is
/// logged: the store works without a mark, and an old one says less than it could.
fn start_mark(path: &Path, mark: &mut Option<MarkFile>, content: Mark) {
    let mut written = Ok(());
    if mark.is_none() {
        written = MarkFile::begin(path, content).map(|file| *mark = Some(file));
    }
    if let (Some(mark), true) = (mark.as_mut(), written.is_ok()) {
        written = mark.open(path, content);
    }
    if let Err(e) = written {
        crate::telemetry::mark_failed(&high_water_mark::mark_path(path), &e);
    }
}

/// Syncs the folder once the log exists. The log stays the same file until the store is closed, so
/// once is enough. SQLite does this too, but ignores an error; then a power cut could remove the
/// log from the folder, with everything that was answered since.
pub(crate) fn sync_folder(path: &Path) -> Result<(), OpenError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    match std::fs::File::open(folder).and_then(|folder| folder.sync_all()) {
        // Some file systems make names durable by themselves and do not support this call.
        Err(e) if !matches!(e.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => {
            Err(OpenError::new(format!(
                "the folder of {} cannot be synced ({e}): a power cut could lose answered events",
                path.display()
            )))
        }
        _ => Ok(()),
    }
}

/// Reads back the settings that an answer 2xx depends on: a commit must be on the disk when it
/// returns. SQLite ignores a setting that the file system does not support.
fn check_durability(conn: &Connection, path: &Path) -> Result<(), OpenError> {
    let open_error = |e: rusqlite::Error| open_error(path, &e);
    let mode: String =
        conn.pragma_query_value(None, "journal_mode", |row| row.get(0)).map_err(open_error)?;
    let synchronous: i64 =
        conn.pragma_query_value(None, "synchronous", |row| row.get(0)).map_err(open_error)?;
    if mode != "wal" {
        return Err(OpenError::new(format!(
            "{} cannot use a write-ahead log (its journal mode is `{mode}`); put it on a local \
             disk whose file system has shared memory and locks",
            path.display()
        )));
    }
    if synchronous < 2 {
        return Err(OpenError::new(format!(
            "{} does not sync each commit (synchronous is {synchronous}, needed is 2, FULL): a \
             power cut could lose answered events",
            path.display()
        )));
    }
    Ok(())
}

/// Checks the structure of a file, and that its indexes agree with its tables. Files above
/// [`MAX_INTEGRITY_CHECK_BYTES`] are skipped: their rows are checked when they are read.
fn check_integrity(conn: &Connection, path: &Path) -> Result<(), OpenError> {
    let open_error = |e: rusqlite::Error| open_error(path, &e);
    let number = |pragma| conn.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
    let pages = number("page_count").map_err(open_error)?;
    let bytes = pages.saturating_mul(number("page_size").map_err(open_error)?);
    if bytes > MAX_INTEGRITY_CHECK_BYTES {
        return Ok(());
    }
    let found: String =
        conn.query_row("pragma integrity_check(1)", [], |row| row.get(0)).map_err(open_error)?;
    if found == "ok" { Ok(()) } else { Err(damaged_file(path, &found)) }
}

/// The error for a database that this user may not open.
pub(crate) fn not_writable(path: &Path, error: &std::io::Error) -> OpenError {
    OpenError::new(format!(
        "{} cannot be written ({error}); the store needs a file, and a folder, that this user may \
         write",
        path.display()
    ))
}

fn connect(path: &Path, flags: OpenFlags) -> rusqlite::Result<Connection> {
    // Without SQLITE_OPEN_URI: a path is a path, and not a `file:` URI with options, which could
    // turn off the locks.
    let common = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, common | flags)?;
    conn.busy_timeout(BUSY_TIMEOUT)?;
    conn.set_prepared_statement_cache_capacity(64);
    // Keeps the query plan of a statement when another value is bound to it. Planning costs more
    // than most of our statements.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    // A damaged page must not make SQLite read outside its cells, nor run SQL from a changed
    // schema.
    conn.execute_batch("pragma cell_size_check = on; pragma trusted_schema = off")?;
    checksum::install(&conn)?;
    Ok(conn)
}

fn connect_reader(path: &Path) -> rusqlite::Result<Connection> {
    let conn = connect(path, OpenFlags::empty())?;
    // Readers cannot write by mistake, and need less cache: a listing reads each page once.
    conn.execute_batch("pragma query_only = on; pragma cache_size = -4096")?;
    Ok(conn)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_does_not_sync_each_commit_is_not_opened() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let conn = Connection::open(&path).unwrap();
        conn.execute_batch("pragma journal_mode = wal; pragma synchronous = full").unwrap();
        assert_eq!(check_durability(&conn, &path), Ok(()));
        conn.execute_batch("pragma synchronous = normal").unwrap();
        assert!(check_durability(&conn, &path).unwrap_err().message.contains("power cut"));
        conn.execute_batch("pragma synchronous = full; pragma journal_mode = delete").unwrap();
        assert!(check_durability(&conn, &path).unwrap_err().message.contains("write-ahead"));
    }
}
