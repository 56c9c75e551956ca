//! Checks a file of this store as a whole, and counts what it holds: for `hookward verify-store`, and
//! for each backup. Reads one state of the file, also while a server writes to it, and changes
//! nothing.

use std::fs::File;
use std::path::Path;

use hookward_core::Timestamp;
use hookward_core::store::OpenError;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, Result};

use crate::checksum::{self, row_intact};
use crate::continuity::{self, Content, immutable_uri};
use crate::error::open_error;
use crate::high_water_mark;
use crate::lock::{is_locked, resolve_path};
use crate::migrate::{APPLICATION_ID, NEWEST_FORMAT};
use crate::open::BUSY_TIMEOUT;
use crate::rows;

/// The first format with checksums of rows.
const FIRST_FORMAT_WITH_CHECKSUMS: usize = 3;

/// The first format that keeps keys of purged events.
const FIRST_FORMAT_WITH_PURGED_KEYS: usize = 6;

/// Problems of the structure that one report names.
const MAX_STRUCTURE_PROBLEMS: usize = 20;

/// What a file of this store holds, and what is wrong with it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FileReport {
    /// The format of the file.
    pub format: usize,
    /// A process has the store open.
    pub in_use: bool,
    /// When the file was made by [`backup`](crate::backup); `None` if it is not a backup, or was
    /// opened since.
    pub backup_made_at: Option<Timestamp>,
    /// Number of the last event that the store ever accepted; those of purged events count.
    pub last_event: i64,
    /// Requests that were accepted.
    pub deliveries: u64,
    /// Events of these requests.
    pub events: u64,
    /// Jobs that wait or run.
    pub open_jobs: u64,
    /// Jobs whose chain has completed.
    pub done_jobs: u64,
    /// Dead letters.
    pub dead_jobs: u64,
    /// What is wrong, in words; empty for a sound file.
    pub problems: Vec<String>,
}

/// Checks the file at `path` as a whole: its structure and indexes, the checksum of every row,
/// whether every event has its delivery and every job its event, and, where there is a high-water
/// mark, that nothing that was committed is missing. Blocks the thread.
///
/// # Errors
///
/// There is no file, or it is not one of this store and cannot be checked. Damage is no error: it is
/// in [`FileReport::problems`].
pub fn verify_file(path: &Path) -> std::result::Result<FileReport, OpenError> {
    let path = &resolve_path(path)?;
    match path.metadata() {
        Ok(found) if found.is_file() && found.len() > 0 => {}
        Ok(found) if found.is_file() => {
            return Err(OpenError::new(format!("{} is empty", path.display())));
        }
        Ok(_) => return Err(OpenError::new(format!("{} is not a file", path.display()))),
        Err(e) => return Err(OpenError::new(format!("{} cannot be read: {e}", path.display()))),
    }
    let in_use = is_locked(path);
    let mut report = FileReport { in_use, ..FileReport::default() };
    let mark = high_water_mark::read(path)?;
    let mut has_log = in_use;
    if !in_use {
        // Before SQLite reads the log, as at a start. Of a store in use, the log changes meanwhile.
        let checked = crate::wal_check::check(path).and_then(|log| {
            has_log = log.exists;
            continuity::check_before_open(path, mark.as_ref(), &log)
        });
        if let Err(e) = checked {
            report.problems.push(e.message);
            return Ok(report);
        }
    }
    let conn = connect(path, has_log).map_err(|e| open_error(path, &e))?;
    // One state, whatever a server writes meanwhile.
    conn.execute_batch("begin").map_err(|e| open_error(path, &e))?;
    check_owner(&conn, path, &mut report)?;
    if report.format > NEWEST_FORMAT {
        report.problems.push(format!(
            "it has format {}, and this version of hookward knows formats up to {NEWEST_FORMAT}",
            report.format
        ));
        return Ok(report);
    }
    if let Err(e) = check_rows(&conn, &mut report) {
        report.problems.push(open_error(path, &e).message);
        return Ok(report);
    }
    // A store in use is ahead of the mark that was read above, or equal to it.
    if let Err(e) = Content::read(&conn)
        .map_err(|e| open_error(path, &e))
        .and_then(|content| continuity::check_content(path, mark.as_ref(), &content))
    {
        report.problems.push(e.message);
    }
    Ok(report)
}

/// Opens the file for reading. Without a log nothing beside it is created or locked.
fn connect(path: &Path, has_log: bool) -> Result<Connection> {
    let base = OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = match immutable_uri(path).filter(|_| !has_log) {
        Some(uri) => Connection::open_with_flags(
            uri,
            base | OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI,
        )?,
        // Writable for SQLite alone, which rebuilds the index of a log after a kill.
        None => Connection::open_with_flags(path, base | OpenFlags::SQLITE_OPEN_READ_WRITE)?,
    };
    conn.busy_timeout(BUSY_TIMEOUT)?;
    // The log stays as it is: the owner moves it into the database.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    conn.execute_batch(
        "pragma query_only = on; pragma cell_size_check = on; pragma trusted_schema = off",
    )?;
    checksum::install(&conn)?;
    Ok(conn)
}

/// Checks that the file is one of this store.
fn check_owner(
    conn: &Connection,
    path: &Path,
    report: &mut FileReport,
) -> std::result::Result<(), OpenError> {
    let number = |pragma| conn.pragma_query_value(None, pragma, |row| row.get::<_, i32>(0));
    let application = number("application_id").map_err(|e| open_error(path, &e))?;
    let format = number("user_version").map_err(|e| open_error(path, &e))?;
    if application != APPLICATION_ID {
        return Err(OpenError::new(format!(
            "{} is the database of another program (application_id {application:#010x})",
            path.display()
        )));
    }
    report.format = usize::try_from(format).unwrap_or(0);
    Ok(())
}

fn check_rows(conn: &Connection, report: &mut FileReport) -> Result<()> {
    let mut structure =
        conn.prepare(&format!("pragma integrity_check({MAX_STRUCTURE_PROBLEMS})"))?;
    for found in structure.query_map([], |row| row.get::<_, String>(0))? {
        let found = found?.replace('\n', " ");
        if found != "ok" {
            report.problems.push(format!("its structure is damaged: {found}"));
        }
    }
    let count = |sql: &str| conn.query_row(sql, [], |row| row.get::<_, i64>(0));
    let number = |sql: &str| count(sql).map(|n| u64::try_from(n).unwrap_or(0));
    report.deliveries = number("select count(*) from deliveries")?;
    report.events = number("select count(*) from events")?;
    let jobs = |state: i64| number(&format!("select count(*) from jobs where state = {state}"));
    report.open_jobs = jobs(rows::STATE_OPEN)?;
    report.done_jobs = jobs(rows::STATE_DONE)?;
    report.dead_jobs = jobs(rows::STATE_DEAD)?;
    let content = Content::read(conn)?;
    (report.last_event, report.backup_made_at) = (content.last_seq, content.backup);
    let mut checks = vec![
        (
            "events without their delivery",
            "select count(*) from events e
             where not exists (select 1 from deliveries d where d.id = e.delivery)",
        ),
        (
            "deliveries without an event",
            "select count(*) from deliveries d where not exists
                 (select 1 from events e where e.seq >= d.id and e.seq < d.id + d.events)",
        ),
        (
            "jobs without their event",
            "select count(*) from jobs j
             where not exists (select 1 from events e where e.seq = j.event)",
        ),
        (
            "jobs without the name of their route",
            "select count(*) from jobs j
             where not exists (select 1 from names n where n.id = j.route)",
        ),
    ];
    if report.format >= FIRST_FORMAT_WITH_CHECKSUMS {
        checks.extend([
            (
                "events that the disk changed",
                concat!("select count(*) from events e where not ", row_intact!(events "e")),
            ),
            (
                "bodies that the disk changed",
                concat!("select count(*) from deliveries d where not ", row_intact!(body "d")),
            ),
            (
                "answers that the disk changed",
                concat!("select count(*) from deliveries d where not ", row_intact!(answer "d")),
            ),
            (
                "jobs that the disk changed",
                concat!("select count(*) from jobs j where not ", row_intact!(jobs "j")),
            ),
            (
                "names that the disk changed",
                "select count(*) from names where sum <> checksum(id, name)",
            ),
            (
                "counters that the disk changed",
                "select count(*) from meta where sum <> checksum(name, value)",
            ),
        ]);
    }
    if report.format >= FIRST_FORMAT_WITH_PURGED_KEYS {
        checks.push((
            "keys of purged events that the disk changed",
            "select count(*) from purged_keys where sum <> checksum(hash, event, at)",
        ));
    }
    for (what, sql) in checks {
        let n = count(sql)?;
        if n > 0 {
            report.problems.push(format!("{n} {what}"));
        }
    }
    Ok(())
}

/// Syncs a file that another connection wrote, so that it survives a power cut.
pub(crate) fn sync(path: &Path) -> std::io::Result<()> {
    File::open(path)?.sync_all()
}
