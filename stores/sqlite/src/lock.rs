//! One owner per store: an OS lock on the file `PATH.lock`, and one on the database itself. The system
//! frees both when the process ends, however it ends.
//!
//! The first one works on every system, and its file says who the owner is. It is found by the name
//! of the database. A database with several names (hard links, as a backup tool makes them) would
//! have a lock for each, so on Linux the database is locked as well, whose lock belongs to the file
//! and not to a name. It is a `flock`, which does not meet the `fcntl` locks of SQLite there;
//! elsewhere it would, and a database must have one name.

use std::fs::{File, TryLockError};
use std::io::{ErrorKind, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use hookward_core::store::OpenError;

use crate::private_file;

/// Attempts to lock, [`LOCK_RETRY_PAUSE`] apart. A former owner in this same process may still be
/// writing its last page.
const LOCK_ATTEMPTS: usize = 10;
const LOCK_RETRY_PAUSE: Duration = Duration::from_millis(20);

/// The lock, held while this value lives.
///
/// Must be dropped after SQLite has closed the database: the end of any descriptor of a file ends
/// the `fcntl` locks that the process has on it.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
    _database: Option<File>,
}

impl Lock {
    /// Locks the lock file of the store at `path`.
    ///
    /// # Errors
    ///
    /// Another owner has the lock (the message names its process), or the file cannot be opened or
    /// locked.
    pub(crate) fn acquire(path: &Path) -> Result<Self, OpenError> {
        let lock_path = lock_file_path(path);
        // Not removed at the end, and not truncated here: a process that opened the old file would
        // lock something else than one that creates a new file of this name.
        let mut file = private_file::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&lock_path)
            .map_err(|e| open_error(&lock_path, &e))?;
        for _ in 0..LOCK_ATTEMPTS {
            match file.try_lock() {
                Ok(()) => {
                    return Ok(Self { _file: write_process_id(file), _database: None });
                }
                // Blocking forever would hide that another process runs; an error after 0.2 s names
                // it.
                Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_RETRY_PAUSE),
                Err(TryLockError::Error(e)) => {
                    return Err(OpenError::new(format!(
                        "{} cannot be locked: {e}",
                        lock_path.display()
                    )));
                }
            }
        }
        let mut owner = String::new();
        let _ = file.read_to_string(&mut owner);
        let owner = match owner.trim() {
            "" => "another process".to_owned(),
            pid => format!("another process (pid {pid})"),
        };
        Err(OpenError::new(format!(
            "{} is in use by {owner}; a store has one owner: stop that process, or ask it through \
             its admin port",
            path.display()
        )))
    }
}

impl Lock {
    /// Locks the database at `path` as well, whatever its other names are.
    ///
    /// # Errors
    ///
    /// Another owner opened it by another name, or it cannot be opened or locked.
    pub(crate) fn lock_database(&mut self, path: &Path) -> Result<(), OpenError> {
        if !cfg!(target_os = "linux") {
            return Ok(());
        }
        let cannot = |e| OpenError::new(format!("{} cannot be locked: {e}", path.display()));
        let file = File::options().read(true).write(true).open(path);
        let file = file.map_err(|e| crate::open::not_writable(path, &e))?;
        for _ in 0..LOCK_ATTEMPTS {
            match file.try_lock() {
                Ok(()) => {
                    self._database = Some(file);
                    return Ok(());
                }
                Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_RETRY_PAUSE),
                Err(TryLockError::Error(e)) => return Err(cannot(e)),
            }
        }
        // Never closed: the owner may be in this process, and would lose SQLite's locks with it.
        std::mem::forget(file);
        Err(OpenError::new(format!(
            "{} is in use by another process, which opened it by another name (a hard link); a \
             store has one owner: stop that process, or ask it through its admin port",
            path.display()
        )))
    }
}

/// Whether a process has the store at `path` open, as far as its lock file says. Creates nothing.
pub(crate) fn is_locked(path: &Path) -> bool {
    let file = File::open(lock_file_path(path));
    // Released with the file, a moment later.
    file.is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

/// The path with symbolic links resolved, as SQLite resolves them.
///
/// # Errors
///
/// A symbolic link to nothing.
pub(crate) fn resolve_path(path: &Path) -> Result<PathBuf, OpenError> {
    let file = path.display();
    let Ok(found) = path.symlink_metadata() else {
        // The file does not exist yet. If its folder does not exist either, opening the lock fails
        // with a better message.
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
            return Ok(path.to_owned());
        };
        let is_current = folder.as_os_str().is_empty();
        let folder = if is_current { Path::new(".") } else { folder };
        return Ok(folder.canonicalize().map_or(path.to_owned(), |folder| folder.join(name)));
    };
    path.canonicalize().map_err(|e| {
        OpenError::new(match e.kind() {
            ErrorKind::NotFound if found.is_symlink() => format!(
                "{file} is a symbolic link that points to nothing; remove it, or name the file \
                 itself in `store:`"
            ),
            _ => format!("{file} cannot be opened: {e}"),
        })
    })
}

/// Checks the names of a database. A file with several names is opened only by the one that a mark
/// stands beside, under which the store was opened before: its log lies there as well.
///
/// # Errors
///
/// The file has several names (hard links), and this is not known to be the one of the store.
pub(crate) fn check_names(path: &Path, has_mark: bool) -> Result<(), OpenError> {
    match hard_links(path) {
        0 | 1 => Ok(()),
        _ if has_mark && cfg!(target_os = "linux") => Ok(()),
        names => Err(OpenError::new(format!(
            "{} is a file of {names} names (hard links), and the store was not opened by this one \
             before: its log and what was committed since would lie beside another name. Open it by \
             the name that it had, or remove all of its names but one",
            path.display()
        ))),
    }
}

#[cfg(unix)]
fn hard_links(path: &Path) -> u64 {
    path.metadata().map_or(0, |found| std::os::unix::fs::MetadataExt::nlink(&found))
}

#[cfg(not(unix))]
fn hard_links(_: &Path) -> u64 {
    1
}

/// Writes the process id for the message of the next process that finds the lock taken. Errors are
/// ignored: the lock works without it.
fn write_process_id(mut file: File) -> File {
    let _ = file.set_len(0);
    let _ = file.rewind();
    let _ = writeln!(file, "{}", std::process::id());
    file
}

fn lock_file_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    PathBuf::from(name)
}

fn open_error(lock_path: &Path, error: &std::io::Error) -> OpenError {
    let folder = lock_path.parent().unwrap_or(lock_path).display();
    OpenError::new(match error.kind() {
        ErrorKind::NotFound => {
            format!("the folder {folder} does not exist; create it: mkdir -p {folder}")
        }
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => format!(
            "{} cannot be written ({error}); the store needs a folder in which this user may \
             create files",
            lock_path.display()
        ),
        _ => format!("{} cannot be opened: {error}", lock_path.display()),
    })
}
