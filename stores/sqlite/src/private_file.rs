//! Files that only the owner's user can open. The store has payloads and personal data, and whoever
//! can open the lock file could hold the lock, so that the next start fails.

use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::path::Path;

/// Options that create a file with the mode 0600. An existing file keeps its mode, which its owner
/// may have chosen.
pub(crate) fn options() -> OpenOptions {
    let mut options = File::options();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Creates an empty file, unless one exists.
///
/// # Errors
///
/// The file does not exist and cannot be created.
pub(crate) fn create_if_missing(path: &Path) -> std::io::Result<()> {
    match options().write(true).create_new(true).open(path) {
        Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(()),
        created => created.map(drop),
    }
}
