//! Whether the files under the store's name are those that were there last: compares the database and
//! its log with the [high-water mark](crate::high_water_mark). SQLite opens whatever it finds: an
//! emptied file as a new database, a database without its log as an older one, and the log of another
//! database as its own, which mixes the pages of both.
//!
//! Each error says what was found, what it means, how to put it right, and what to remove in order
//! to start anyway.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use hookward_core::Timestamp;
use hookward_core::store::OpenError;
use rusqlite::{Connection, OpenFlags, OptionalExtension, Result as SqlResult};

use crate::checksum;
use crate::high_water_mark::{Mark, mark_path};
use crate::wal_check::LogSummary;

/// What a database says about itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Content {
    /// The store; `None` for files without one: of formats before 5, and empty ones.
    pub(crate) store_id: Option<i64>,
    /// How often it was opened.
    pub(crate) opens: i64,
    /// Number of the last event that it ever held.
    pub(crate) last_seq: i64,
    /// When the file was made by `hookward backup`, unless it was opened since.
    pub(crate) backup: Option<Timestamp>,
}

impl Content {
    /// Reads the content through a connection, which includes the log.
    pub(crate) fn read(conn: &Connection) -> SqlResult<Self> {
        let has_counters: bool = conn.query_row(
            "select count(*) = 2 from sqlite_schema where type = 'table' and name in ('meta', 'events')",
            [],
            |row| row.get(0),
        )?;
        if !has_counters {
            return Ok(Self::default());
        }
        let counter = |name: &str| {
            conn.query_row("select value from meta where name = ?1", [name], |row| {
                row.get::<_, i64>(0)
            })
            .optional()
        };
        let last_row: Option<i64> =
            conn.query_row("select max(seq) from events", [], |row| row.get(0))?;
        // A purge may have removed the last row. It then wrote the number of the next one.
        let purged = counter("seq")?.map(|next| next - 1);
        Ok(Self {
            store_id: counter("store_id")?,
            opens: counter("opens")?.unwrap_or(0),
            last_seq: last_row.max(purged).unwrap_or(0),
            backup: counter("backup")?.map(Timestamp::from_millis),
        })
    }

    /// Reads the content of the database file alone, without its log, and changes nothing. `None`
    /// if it cannot be read so: a crash can leave it in the middle of a checkpoint, which the log
    /// then repairs.
    fn read_without_log(path: &Path) -> Option<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
            | OpenFlags::SQLITE_OPEN_NO_MUTEX
            | OpenFlags::SQLITE_OPEN_URI;
        let conn = Connection::open_with_flags(immutable_uri(path)?, flags).ok()?;
        checksum::install(&conn).ok()?;
        let is_damaged: bool = conn
            .query_row(
                "select exists (select 1 from meta where sum <> checksum(name, value))",
                [],
                |row| row.get(0),
            )
            .ok()?;
        if is_damaged { None } else { Self::read(&conn).ok() }
    }
}

/// The file as SQLite opens it without looking at its log or its locks.
/// See <https://www.sqlite.org/uri.html>.
pub(crate) fn immutable_uri(path: &Path) -> Option<String> {
    let path = std::path::absolute(path).ok()?;
    let mut uri = String::from("file:");
    for byte in path.to_str()?.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => {
                uri.push(char::from(byte));
            }
            _ => uri.push_str(&format!("%{byte:02x}")),
        }
    }
    uri.push_str("?immutable=1");
    Some(uri)
}

/// The names that messages use.
struct Files {
    database: PathBuf,
    log: PathBuf,
    mark: PathBuf,
}

impl Files {
    fn of(path: &Path) -> Self {
        let mut log: OsString = path.as_os_str().to_owned();
        log.push("-wal");
        Self { database: path.to_owned(), log: log.into(), mark: mark_path(path) }
    }
}

/// Checks the files before SQLite opens them: it removes the log of an empty database, and reads a
/// log of another database into this one.
///
/// # Errors
///
/// The database is missing, empty, of another store or older than its log, or the log is of another
/// database.
pub(crate) fn check_before_open(
    path: &Path,
    mark: Option<&Mark>,
    log: &LogSummary,
) -> Result<(), OpenError> {
    let files = Files::of(path);
    let (database, log_path, mark_path) =
        (files.database.display(), files.log.display(), files.mark.display());
    let length = path.metadata().map(|found| found.len()).ok();
    if length.unwrap_or(0) == 0 {
        let found = if length.is_some() { "is empty" } else { "does not exist" };
        return match mark {
            Some(mark) => Err(OpenError::new(format!(
                "{database} {found}, and {mark_path} says that a store with events up to number {} \
                 was here: it was moved, deleted or emptied. Put back the database together with \
                 its log ({log_path}), or restore a backup. To start with an empty store anyway, \
                 and lose those events, remove {mark_path} and {log_path}",
                mark.last_seq
            ))),
            None if log.commits > 0 => Err(OpenError::new(format!(
                "{database} {found}, and its log {log_path} holds {} commits: the database was \
                 moved, deleted or emptied. Put it back beside its log, or restore a backup. To \
                 start with an empty store anyway, remove {log_path}",
                log.commits
            ))),
            None => Ok(()),
        };
    }
    // Without a commit in the log, SQLite reads the database alone, which is checked then.
    let (Some(salts), true) = (log.salts, log.commits > 0) else { return Ok(()) };
    let remove_log = format!(
        "To start from the database without that log, for example from a backup that you restored \
         on purpose, move {log_path} and {mark_path} away"
    );
    let alone = Content::read_without_log(path);
    if let Some(at) = alone.and_then(|alone| alone.backup) {
        return Err(OpenError::new(format!(
            "{database} is a backup made at {at}, and the log beside it, {log_path}, is of the \
             store that was here before: together they would be neither. {remove_log}"
        )));
    }
    let Some(mark) = mark else { return Ok(()) };
    if let Some(Content { store_id: Some(id), .. }) = alone
        && id != mark.store_id
    {
        return Err(OpenError::new(format!(
            "{database} is another store than the one that {mark_path} names, and the log \
             {log_path} is not its own. Put back the database that was here. {remove_log}"
        )));
    }
    if alone.is_some_and(|alone| alone.opens < mark.opens_in_database) {
        return Err(OpenError::new(format!(
            "{database} is older than its log {log_path}: an older copy was put in its place, and \
             the log would damage it. Put back the database that was here; {mark_path} says that it \
             has events up to number {}. {remove_log}",
            mark.last_seq
        )));
    }
    if !mark.allows_log(salts) {
        return Err(OpenError::new(format!(
            "{log_path} is not the log of {database}: {mark_path} names another one. Put back its \
             own log, if there is one. {remove_log}"
        )));
    }
    Ok(())
}

/// Checks what the database says once SQLite has read its log, before anything is written.
///
/// # Errors
///
/// The database is of another store, or lacks what was committed.
pub(crate) fn check_content(
    path: &Path,
    mark: Option<&Mark>,
    content: &Content,
) -> Result<(), OpenError> {
    let Some(mark) = mark else { return Ok(()) };
    let files = Files::of(path);
    let (database, log, mark_path) =
        (files.database.display(), files.log.display(), files.mark.display());
    let anyway = format!(
        "To start from what is there anyway, for example from a backup that you restored on \
         purpose, remove {mark_path}"
    );
    if content.store_id != Some(mark.store_id) {
        return Err(OpenError::new(format!(
            "{database} is another store than the one that {mark_path} names, which has events up \
             to number {}: the file was replaced. Put back the database that was here together \
             with its log ({log}). {anyway}",
            mark.last_seq
        )));
    }
    if content.last_seq >= mark.last_seq && content.opens >= mark.opens {
        return Ok(());
    }
    let lost = mark.last_seq - content.last_seq;
    let which = match content.backup {
        Some(at) => format!("it is a backup made at {at}"),
        None => format!("it is an older copy, or its log {log} was removed or shortened"),
    };
    Err(OpenError::new(format!(
        "{database} has events up to number {}, and {mark_path} says that number {} was committed: \
         {which}. Put back the newer database together with its log. {anyway}; {} acknowledged \
         after it are then lost, and their repetitions are new events",
        content.last_seq,
        mark.last_seq,
        match lost {
            ..=0 => "the outcomes of jobs".to_owned(),
            1 => "1 event".to_owned(),
            n => format!("{n} events"),
        }
    )))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_any_characters_is_one_path_in_a_uri() {
        let uri = immutable_uri(Path::new("/tmp/a b?x=1#y%20é.db")).unwrap();
        assert_eq!(uri, "file:/tmp/a%20b%3fx%3d1%23y%2520%c3%a9.db?immutable=1");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a b?mode=memory#é%41.db");
        let conn = Connection::open(&path).unwrap();
        conn.execute_batch("pragma journal_mode = wal; create table events (seq); create table meta (name, value, sum)")
            .unwrap();
        // The tables are in the log alone, while the connection is open.
        assert_eq!(Content::read_without_log(&path), None);
        conn.execute_batch("pragma wal_checkpoint(truncate)").unwrap();
        assert_eq!(Content::read_without_log(&path), Some(Content::default()));
    }
}
