//! One owner per store: an OS lock on a side file. The system frees it when the process ends,
//! however it ends. The lock, the log and the rest lie beside the file by name, so a file has one.

use std::fs::{File, TryLockError};
use std::io::{ErrorKind, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use hookward_core::store::OpenError;

/// A former owner of this same process may still be writing its last page.
const PATIENCE: [Duration; 10] = [Duration::from_millis(20); 10];

/// Held as long as the store is open.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock beside `path`, or says who has it.
    pub(crate) fn take(path: &Path) -> Result<Self, OpenError> {
        let side = beside(path);
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&side)
            .map_err(|e| cannot_open(&side, &e))?;
        for pause in PATIENCE {
            match file.try_lock() {
                Ok(()) => return Ok(Self { _file: signed(file) }),
                Err(TryLockError::WouldBlock) => std::thread::sleep(pause),
                Err(TryLockError::Error(e)) => {
                    return Err(OpenError(format!("{} cannot be locked: {e}", side.display())));
                }
            }
        }
        let mut owner = String::new();
        let _ = file.read_to_string(&mut owner);
        let owner = match owner.trim() {
            "" => "another process".to_owned(),
            pid => format!("another process (pid {pid})"),
        };
        Err(OpenError(format!(
            "{} is in use by {owner}; a store has one owner: stop that process, or ask it through \
             its admin port",
            path.display()
        )))
    }
}

/// The path without symbolic links, which SQLite follows, too. What may have other names is refused:
/// whoever opened it by one of those would find another lock, and another log.
pub(crate) fn one_name(path: &Path) -> Result<PathBuf, OpenError> {
    let file = path.display();
    let Ok(found) = path.symlink_metadata() else {
        // It is to be made. Of a folder that is not there the lock has more to say.
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
            return Ok(path.to_owned());
        };
        let here = folder.as_os_str().is_empty();
        let folder = if here { Path::new(".") } else { folder };
        return Ok(folder.canonicalize().map_or(path.to_owned(), |folder| folder.join(name)));
    };
    let real = path.canonicalize().map_err(|e| {
        OpenError(match e.kind() {
            ErrorKind::NotFound if found.is_symlink() => format!(
                "{file} is a symbolic link that points to nothing; remove it, or name the file itself \
                 in `store:`"
            ),
            _ => format!("{file} cannot be opened: {e}"),
        })
    })?;
    match names(&real) {
        0 | 1 => Ok(real),
        names => Err(OpenError(format!(
            "{file} is a file of {names} names (hard links), by which it could get two owners; leave \
             it one"
        ))),
    }
}

#[cfg(unix)]
fn names(path: &Path) -> u64 {
    path.metadata().map_or(0, |found| std::os::unix::fs::MetadataExt::nlink(&found))
}

#[cfg(not(unix))]
fn names(_: &Path) -> u64 {
    1
}

/// Our process id, for whoever finds the lock taken. The lock works without it.
fn signed(mut file: File) -> File {
    let _ = file.set_len(0);
    let _ = file.rewind();
    let _ = writeln!(file, "{}", std::process::id());
    file
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    PathBuf::from(name)
}

fn cannot_open(side: &Path, error: &std::io::Error) -> OpenError {
    let folder = side.parent().unwrap_or(side).display();
    OpenError(match error.kind() {
        ErrorKind::NotFound => {
            format!("the folder {folder} does not exist; create it: mkdir -p {folder}")
        }
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => format!(
            "{} cannot be written ({error}); the store needs a folder in which this user may \
             create files",
            side.display()
        ),
        _ => format!("{} cannot be opened: {error}", side.display()),
    })
}
