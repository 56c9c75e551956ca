//! Copies a store into a new file while a server uses it: one state of the store, checked, synced and
//! complete before it gets its name.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use hookward_core::Timestamp;
use hookward_core::store::OpenError;
use rusqlite::{Connection, OpenFlags};

use crate::continuity;
use crate::error::open_error;
use crate::file_report::{FileReport, sync, verify_file};
use crate::high_water_mark;
use crate::lock::{is_locked, resolve_path};
use crate::migrate::APPLICATION_ID;
use crate::open::{BUSY_TIMEOUT, sync_folder};
use crate::private_file;

/// Copies the store at `source` to the new file `target`, with the mode 0600, and returns what the
/// copy holds. Works while a server has the store open, whose commits meanwhile are not in the
/// copy; its log grows until the copy is complete. Blocks the thread.
///
/// # Errors
///
/// `target` exists; `source` is not a store, or would not be opened; the disk is full; the copy is
/// not sound. No file is left behind.
pub fn backup(source: &Path, target: &Path, now: Timestamp) -> Result<FileReport, OpenError> {
    let source = &resolve_path(source)?;
    if target.symlink_metadata().is_ok() {
        return Err(OpenError::new(format!(
            "{} exists, and a backup overwrites nothing; name another file",
            target.display()
        )));
    }
    if !source.exists() {
        return Err(OpenError::new(format!("there is no store {} to back up", source.display())));
    }
    if !is_locked(source) {
        // As at a start: a copy of part of a store would look like a whole one.
        let mark = high_water_mark::read(source)?;
        let log = crate::wal_check::check(source)?;
        continuity::check_before_open(source, mark.as_ref(), &log)?;
    }
    let partial = Partial::create(target)?;
    let copied = copy(source, &partial.0, now)?;
    sync(&partial.0).map_err(|e| cannot_write(&partial.0, &e))?;
    let report = verify_file(&partial.0)?;
    if let Some(problem) = report.problems.first() {
        return Err(OpenError::new(format!(
            "the copy of {} is not sound: {problem}; check it with `hookward verify-store {}`",
            source.display(),
            source.display()
        )));
    }
    if report.last_event < copied {
        return Err(OpenError::new(format!(
            "the copy of {} lacks events that the store has",
            source.display()
        )));
    }
    partial.publish(target)?;
    sync_folder(target)?;
    Ok(report)
}

/// Writes the copy, and returns the number of the last event.
fn copy(source: &Path, copy: &Path, now: Timestamp) -> Result<i64, OpenError> {
    let failed = |e: rusqlite::Error| open_error(source, &e);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(source, flags).map_err(failed)?;
    conn.busy_timeout(BUSY_TIMEOUT).map_err(failed)?;
    let application: i32 =
        conn.pragma_query_value(None, "application_id", |row| row.get(0)).map_err(failed)?;
    if application != APPLICATION_ID {
        return Err(OpenError::new(format!("{} is not a store of hookward", source.display())));
    }
    let content = continuity::Content::read(&conn).map_err(failed)?;
    let mark = high_water_mark::read(source)?;
    if !is_locked(source) {
        continuity::check_content(source, mark.as_ref(), &content)?;
    }
    let Some(name) = copy.to_str() else {
        return Err(OpenError::new(format!("{} is not valid Unicode", copy.display())));
    };
    // Reads one state of the store, and writes a file without a log.
    conn.execute("vacuum into ?1", [name]).map_err(|e| match e.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DiskFull) => {
            OpenError::new(format!("there is no disk space for {}: {e}", copy.display()))
        }
        _ => open_error(source, &e),
    })?;
    let made = Connection::open_with_flags(copy, flags).map_err(|e| open_error(copy, &e))?;
    crate::checksum::install(&made).map_err(|e| open_error(copy, &e))?;
    // The next start with the file knows from it what it is, where other files lie beside it.
    let has_sums = made.prepare("select sum from meta").is_ok();
    let mark = if has_sums {
        "insert or replace into meta (name, value, sum) values ('backup', ?1, checksum('backup', ?1))"
    } else {
        "insert or replace into meta (name, value) values ('backup', ?1)"
    };
    made.execute(mark, [now.as_millis()]).map_err(|e| open_error(copy, &e))?;
    Ok(content.last_seq)
}

/// A copy in progress, removed unless it is published.
struct Partial(PathBuf);

impl Partial {
    fn create(target: &Path) -> Result<Self, OpenError> {
        let mut name = target.as_os_str().to_owned();
        name.push(".partial");
        let path = PathBuf::from(name);
        match private_file::options().write(true).create_new(true).open(&path) {
            Ok(_) => Ok(Self(path)),
            Err(e) if e.kind() == ErrorKind::AlreadyExists => Err(OpenError::new(format!(
                "{} exists: another backup runs, or was killed; if none runs, remove it",
                path.display()
            ))),
            Err(e) => Err(cannot_write(&path, &e)),
        }
    }

    /// Gives the copy its name, unless that was taken meanwhile.
    fn publish(self, target: &Path) -> Result<(), OpenError> {
        // Not a rename, which would replace a file of that name.
        let linked = std::fs::hard_link(&self.0, target);
        linked.map_err(|e| cannot_write(target, &e))
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
        let mut journal = self.0.as_os_str().to_owned();
        journal.push("-journal");
        let _ = std::fs::remove_file(PathBuf::from(journal));
    }
}

fn cannot_write(path: &Path, error: &std::io::Error) -> OpenError {
    OpenError::new(format!("{} cannot be written: {error}", path.display()))
}
