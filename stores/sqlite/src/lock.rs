//! One owner per store: an OS lock on a side file. The system frees it when the process ends,
//! however it ends.

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
