//! What an error of SQLite means for those who wait.

use hookward_core::store::StoreError;
use rusqlite::ErrorCode;
use rusqlite::ffi;

/// An error before or at the commit.
pub(crate) fn store_error(error: &rusqlite::Error) -> StoreError {
    let words = error.to_string();
    let extended = error.sqlite_error().map_or(0, |e| e.extended_code);
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::Full(words),
        // There was no room for the index of the log; nothing of it is the data itself.
        Some(ErrorCode::SystemIoFailure) if extended == ffi::SQLITE_IOERR_SHMSIZE => {
            StoreError::Full(words)
        }
        // After a failed fsync nobody knows what is on the disk, and a second fsync would say that
        // all is well. The same goes for a file that reads as something else than was written.
        Some(ErrorCode::SystemIoFailure | ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            StoreError::Poisoned(words)
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
        assert!(matches!(of(ffi::SQLITE_IOERR_FSYNC), StoreError::Poisoned(_)));
        assert!(matches!(of(ffi::SQLITE_CORRUPT), StoreError::Poisoned(_)));
        assert!(matches!(of(ffi::SQLITE_BUSY), StoreError::Unavailable(_)));
    }
}
