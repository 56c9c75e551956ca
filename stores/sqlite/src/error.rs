//! What an error of SQLite means for callers: a full disk, a failed store, or an error that may
//! pass.

use std::io::{Error as SystemError, ErrorKind};
use std::path::Path;

use hookward_core::store::{OpenError, StoreError};
use rusqlite::ErrorCode;
use rusqlite::ffi;

/// Classifies an error of SQLite.
///
/// Must be called right after the failed call, on the same thread: SQLite reports a used-up quota
/// as a plain I/O error, and only the thread's last system error says which it was.
pub(crate) fn store_error(error: &rusqlite::Error) -> StoreError {
    classify(error, SystemError::last_os_error().kind())
}

/// `system`: kind of the thread's last system error.
fn classify(error: &rusqlite::Error, system: ErrorKind) -> StoreError {
    let message = error.to_string();
    let extended = error.sqlite_error().map_or(0, |e| e.extended_code);
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::Full(message),
        // The shared memory of the log's index could not be enlarged. It holds no data of its own,
        // so nothing is lost.
        Some(ErrorCode::SystemIoFailure) if extended == ffi::SQLITE_IOERR_SHMSIZE => {
            StoreError::Full(message)
        }
        // SQLite reports `full` for a full disk but not for a used-up quota. A write that the quota
        // rejects wrote nothing. A sync that it rejects is as final as any failed sync.
        Some(ErrorCode::SystemIoFailure)
            if extended == ffi::SQLITE_IOERR_WRITE && system == ErrorKind::QuotaExceeded =>
        {
            StoreError::Full(format!("{message}: the quota of its disk is used up"))
        }
        // After a failed fsync the contents of the disk are unknown, and a second fsync would
        // succeed without having written the lost pages. The same holds for a file that reads
        // differently from what was written.
        Some(ErrorCode::SystemIoFailure | ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            StoreError::Failed(message)
        }
        _ => StoreError::Unavailable(message),
    }
}

/// Whether an error means that one row holds what this store never wrote. Damage that SQLite itself
/// finds does not count: it concerns the structure of the file, and no other row can be trusted.
pub(crate) fn is_damage(error: &rusqlite::Error) -> bool {
    use rusqlite::Error as E;
    matches!(
        error,
        E::FromSqlConversionFailure(..)
            | E::IntegralValueOutOfRange(..)
            | E::InvalidColumnType(..)
            | E::Utf8Error(..)
            | E::QueryReturnedNoRows
    )
}

/// The error for a value that this store did not write; [`is_damage`] is true for it.
pub(crate) fn unreadable(what: &str) -> rusqlite::Error {
    let message = format!("{what} is not as it was written");
    rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Blob, message.into())
}

/// An error of SQLite as a message for the operator.
pub(crate) fn open_error(path: &Path, error: &rusqlite::Error) -> OpenError {
    let file = path.display();
    if let StoreError::Full(message) = store_error(error) {
        return OpenError::new(format!("there is no disk space for {file}: {message}"));
    }
    OpenError::new(match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => {
            format!("{file} is not an SQLite database; name another file in `store:`")
        }
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => format!(
            "{file} cannot be written ({error}); the store needs a file, and a folder, that this \
             user may write"
        ),
        Some(ErrorCode::DatabaseCorrupt) => return damaged_file(path, &error.to_string()),
        None if is_damage(error) => return damaged_file(path, &error.to_string()),
        _ => format!("{file} cannot be opened: {error}"),
    })
}

/// The error for a file whose structure is damaged; `found` is what SQLite reports.
pub(crate) fn damaged_file(path: &Path, found: &str) -> OpenError {
    OpenError::new(format!(
        "{} is damaged ({}); restore it from a backup, or move it away to start with an \
         empty store",
        path.display(),
        found.replace('\n', " ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_does_not_fail_the_store_but_a_failed_fsync_does() {
        let class =
            |code| store_error(&rusqlite::Error::SqliteFailure(ffi::Error::new(code), None));
        assert!(matches!(class(ffi::SQLITE_FULL), StoreError::Full(_)));
        assert!(matches!(class(ffi::SQLITE_IOERR_FSYNC), StoreError::Failed(_)));
        assert!(matches!(class(ffi::SQLITE_CORRUPT), StoreError::Failed(_)));
        assert!(matches!(class(ffi::SQLITE_BUSY), StoreError::Unavailable(_)));
    }

    #[test]
    fn a_used_up_quota_is_a_full_disk_for_writes_but_not_for_syncs() {
        let class = |code, system| {
            classify(&rusqlite::Error::SqliteFailure(ffi::Error::new(code), None), system)
        };
        let quota = ErrorKind::QuotaExceeded;
        assert!(matches!(class(ffi::SQLITE_IOERR_WRITE, quota), StoreError::Full(_)));
        assert!(matches!(class(ffi::SQLITE_IOERR_WRITE, ErrorKind::Other), StoreError::Failed(_)));
        assert!(matches!(class(ffi::SQLITE_IOERR_FSYNC, quota), StoreError::Failed(_)));
        assert!(matches!(class(ffi::SQLITE_CORRUPT, quota), StoreError::Failed(_)));
    }
}
