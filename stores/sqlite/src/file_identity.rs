//! Whether the files of the store are still the ones under their names. A file that is moved, deleted
//! or replaced while it is open takes every write, and syncs it; at the next start all of that is
//! gone. Asked by the writer after each commit, before its callers are answered.

use std::path::{Path, PathBuf};

use hookward_core::store::StoreError;

/// Device and number of a file, which stay the same whatever its name is.
type FileId = (u64, u64);

/// The files that were open when the store was opened, with their names.
#[derive(Debug)]
pub(crate) struct FileIdentity(Vec<(PathBuf, FileId)>);

impl FileIdentity {
    /// Reads the identity of the store at `path`: of the database, its log and its lock file.
    /// Called once all of them exist. SQLite uses one log until the store is closed.
    ///
    /// # Errors
    ///
    /// A file cannot be found.
    pub(crate) fn read(path: &Path) -> std::io::Result<Self> {
        let named = |end: &str| {
            let mut name = path.as_os_str().to_owned();
            name.push(end);
            PathBuf::from(name)
        };
        let files = [named(""), named("-wal"), named(".lock")];
        files
            .into_iter()
            .map(|file| file_id(&file).map(|id| (file, id)))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Compares each name with the file that was opened.
    ///
    /// # Errors
    ///
    /// [`StoreError::Failed`]: a name leads to another file or to none. Nothing that this process
    /// commits is found there by the next one.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        for (file, opened) in &self.0 {
            let found = match file_id(file) {
                Ok(id) if id == *opened => continue,
                Ok(_) => "was replaced by another file".to_owned(),
                Err(e) => format!("was moved or deleted ({e})"),
            };
            return Err(StoreError::Failed(format!(
                "{} {found} while the server runs, so what is stored now would be lost; put the \
                 file back or restore a backup, and start again",
                file.display()
            )));
        }
        Ok(())
    }
}

#[cfg(unix)]
fn file_id(file: &Path) -> std::io::Result<FileId> {
    use std::os::unix::fs::MetadataExt;
    let found = std::fs::metadata(file)?;
    Ok((found.dev(), found.ino()))
}

/// Elsewhere an open file can be neither moved nor deleted.
#[cfg(not(unix))]
fn file_id(_: &Path) -> std::io::Result<FileId> {
    Ok((0, 0))
}

#[cfg(all(test, unix))]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;

    fn store() -> (tempfile::TempDir, PathBuf, FileIdentity) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.db");
        for end in ["", "-wal", ".lock"] {
            std::fs::write(format!("{}{end}", path.display()), "x").unwrap();
        }
        let identity = FileIdentity::read(&path).unwrap();
        (folder, path, identity)
    }

    #[test]
    fn a_moved_a_deleted_and_a_replaced_file_are_each_named() {
        for end in ["", "-wal", ".lock"] {
            let (_folder, path, identity) = store();
            assert_eq!(identity.check(), Ok(()));
            let file = format!("{}{end}", path.display());
            std::fs::rename(&file, format!("{file}.moved")).unwrap();
            let StoreError::Failed(message) = identity.check().unwrap_err() else { panic!() };
            assert!(message.contains(&file) && message.contains("moved or deleted"), "{message}");
            std::fs::write(&file, "x").unwrap();
            let StoreError::Failed(message) = identity.check().unwrap_err() else { panic!() };
            assert!(message.contains("replaced"), "{message}");
            std::fs::rename(format!("{file}.moved"), &file).unwrap();
            assert_eq!(identity.check(), Ok(()), "it was put back");
        }
    }

    #[test]
    fn another_name_of_the_file_changes_nothing() {
        let (folder, path, identity) = store();
        std::fs::hard_link(&path, folder.path().join("backup.db")).unwrap();
        assert_eq!(identity.check(), Ok(()));
    }
}
