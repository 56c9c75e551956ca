//! What an error of SQLite means for those who wait.

use std::io::{Error as SystemError, ErrorKind};

use hookward_core::store::StoreError;
use rusqlite::ErrorCode;
use rusqlite::ffi;

/// An error before or at the commit. Asked right after it, while the system still knows which of its
/// own it was.
pub(crate) fn store_error(error: &rusqlite::Error) -> StoreError {
    judged(error, SystemError::last_os_error().kind())
}

/// `system`: the last error that the system gave to this thread.
fn judged(error: &rusqlite::Error, system: ErrorKind) -> StoreError {
    let words = error.to_string();
    let extended = error.sqlite_error().map_or(0, |e| e.extended_code);
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::Full(words),
        // There was no room for the index of the log; nothing of it is the data itself.
        Some(ErrorCode::SystemIoFailure) if extended == ffi::SQLITE_IOERR_SHMSIZE => {
            StoreError::Full(words)
        }
        // SQLite says full of a full disk alone, and not of a quota. A write that was refused for it wrote
        // nothing; a sync that was is as final as any that failed.
        Some(ErrorCode::SystemIoFailure)
            if extended == ffi::SQLITE_IOERR_WRITE && system == ErrorKind::QuotaExceeded =>
        {
            StoreError::Full(format!("{words}: the quota of its disk is used up"))
        }
        // After a failed fsync nobody knows what is on the disk, and a second fsync would say that
        // all is well. The same goes for a file that reads as something else than was written.
        Some(ErrorCode::SystemIoFailure | ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            StoreError::Failed(words)
        }
        _ => StoreError::Unavailable(words),
    }
}

/// Whether a row holds what this store never wrote there. What SQLite itself finds damaged is not
/// among this: its structure is hit, and nothing that it says can be trusted.
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

/// Something in the file is not what this store writes.
pub(crate) fn unreadable(what: &str) -> rusqlite::Error {
    let words = format!("{what} is not as it was written");
    rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Blob, words.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_no_poison_and_a_failed_fsync_is() {
        let of = |code| store_error(&rusqlite::Error::SqliteFailure(ffi::Error::new(code), None));
        assert!(matches!(of(ffi::SQLITE_FULL), StoreError::Full(_)));
        assert!(matches!(of(ffi::SQLITE_IOERR_FSYNC), StoreError::Failed(_)));
        assert!(matches!(of(ffi::SQLITE_CORRUPT), StoreError::Failed(_)));
        assert!(matches!(of(ffi::SQLITE_BUSY), StoreError::Unavailable(_)));
    }

    #[test]
    fn a_quota_that_is_used_up_is_a_full_disk_for_writes_alone() {
        let of = |code, system| {
            judged(&rusqlite::Error::SqliteFailure(ffi::Error::new(code), None), system)
        };
        let quota = ErrorKind::QuotaExceeded;
        assert!(matches!(of(ffi::SQLITE_IOERR_WRITE, quota), StoreError::Full(_)));
        assert!(matches!(of(ffi::SQLITE_IOERR_WRITE, ErrorKind::Other), StoreError::Failed(_)));
        assert!(matches!(of(ffi::SQLITE_IOERR_FSYNC, quota), StoreError::Failed(_)));
        assert!(matches!(of(ffi::SQLITE_CORRUPT, quota), StoreError::Failed(_)));
    }
}
