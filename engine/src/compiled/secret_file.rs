//! `secret_file:` of a source: the secret that a sender makes up itself and sends once, at set-up.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use hookward_core::{ActiveSecrets, Secret, SecretSet, Timestamp};

/// The file that holds such a secret, and the secret once it is known.
///
/// The file is written once. A second secret is rejected until an operator removes the file and
/// reloads: otherwise whoever can reach the path could replace the secret with one of their own.
#[derive(Debug)]
pub struct SecretFile {
    /// The path from `secret_file:`, joined to the folder of routes.yaml.
    pub file: PathBuf,
    known: OnceLock<SecretSet>,
}

impl SecretFile {
    /// Makes one over `file`; `known` is what the file held when the configuration was read.
    pub fn new(file: PathBuf, known: Option<SecretSet>) -> Self {
        let cell = OnceLock::new();
        if let Some(set) = known.filter(|set| !set.all().is_empty()) {
            let _ = cell.set(set);
        }
        Self { file, known: cell }
    }

    /// Returns the secret as a set that is valid at `now`; `None` while it is not known.
    pub(super) fn active(&self, now: Timestamp) -> Option<ActiveSecrets<'_>> {
        self.known.get().map(|set| set.active(now))
    }

    /// Writes the secret to the file, durably and readable by its owner alone, and uses it from
    /// then on. Blocks on the disk.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] where a secret is already known or the file exists;
    /// [`io::ErrorKind::InvalidInput`] for an empty secret; else the error of the file system.
    pub(crate) fn save(&self, secret: Secret) -> io::Result<()> {
        let already_exists = || io::Error::from(io::ErrorKind::AlreadyExists);
        let set =
            SecretSet::from_texts([secret.expose()]).map_err(|_| io::ErrorKind::InvalidInput)?;
        if self.known.get().is_some() {
            return Err(already_exists());
        }
        let mut file = create(&self.file)?;
        let written = file.write_all(secret.expose().as_bytes()).and_then(|()| file.sync_all());
        if let Err(e) = written.and_then(|()| sync_parent(&self.file)) {
            // A partial secret must not be read as a whole one after a restart, and a secret that a
            // crash may undo must not be confirmed to the sender.
            let _ = std::fs::remove_file(&self.file);
            return Err(e);
        }
        self.known.set(set).map_err(|_| already_exists())
    }
}

/// Creates the file and fails where it exists, so that of two set-ups at the same time one wins.
fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Syncs the folder: a new file name survives a crash only once its folder is synced.
fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty());
    File::open(parent.unwrap_or_else(|| Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_secret_is_saved_and_a_second_is_rejected() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("asana.secret");
        let secret_file = SecretFile::new(path.clone(), None);
        let now = Timestamp::from_secs(0);
        assert!(secret_file.active(now).is_none());
        secret_file.save(Secret::new("first")).unwrap();
        let second = secret_file.save(Secret::new("second")).unwrap_err();
        assert_eq!(second.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "first");
        assert_eq!(secret_file.active(now).unwrap().iter().next().unwrap().1.expose(), "first");
        // Another configuration over the same file, loaded before the file existed.
        let other = SecretFile::new(path, None);
        assert_eq!(
            other.save(Secret::new("third")).unwrap_err().kind(),
            io::ErrorKind::AlreadyExists
        );
    }

    #[cfg(unix)]
    #[test]
    fn a_secret_file_is_readable_by_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        SecretFile::new(path.clone(), None).save(Secret::new("x")).unwrap();
        assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
