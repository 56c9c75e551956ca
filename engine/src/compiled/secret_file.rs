//! The secret that a sender makes up itself and says at set-up: kept in a file of its own.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use hookward_core::{ActiveSecrets, Secret, SecretSet, Timestamp};

/// Where it is kept, and what it is once it is known. It is said once: a second one is refused until
/// an operator removes the file and reloads.
#[derive(Debug)]
pub struct SecretFile {
    /// `secret_file:`, resolved.
    pub file: PathBuf,
    known: OnceLock<SecretSet>,
}

impl SecretFile {
    /// With what the file held when the configuration was read.
    pub fn new(file: PathBuf, known: Option<SecretSet>) -> Self {
        let cell = OnceLock::new();
        if let Some(set) = known.filter(|set| !set.all().is_empty()) {
            let _ = cell.set(set);
        }
        Self { file, known: cell }
    }

    /// It, where it is known.
    pub(super) fn active(&self, now: Timestamp) -> Option<ActiveSecrets<'_>> {
        self.known.get().map(|set| set.active(now))
    }

    /// Writes it to the file, durably and readable by nobody else, and accepts it from then on.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] where there is one already.
    pub(crate) fn keep(&self, secret: Secret) -> io::Result<()> {
        let taken = || io::Error::from(io::ErrorKind::AlreadyExists);
        let set = SecretSet::of([secret.expose()]).map_err(|_| io::ErrorKind::InvalidInput)?;
        if self.known.get().is_some() {
            return Err(taken());
        }
        let mut file = create(&self.file)?;
        let written = file.write_all(secret.expose().as_bytes()).and_then(|()| file.sync_all());
        if let Err(e) = written.and_then(|()| sync_folder(&self.file)) {
            // Half a secret must not look like one, nor one that may be gone tomorrow.
            let _ = std::fs::remove_file(&self.file);
            return Err(e);
        }
        self.known.set(set).map_err(|_| taken())
    }
}

fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// A new name in a folder is durable once the folder is.
fn sync_folder(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty());
    File::open(parent.unwrap_or_else(|| Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_secret_is_kept_and_a_second_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("asana.secret");
        let place = SecretFile::new(file.clone(), None);
        let now = Timestamp::from_secs(0);
        assert!(place.active(now).is_none());
        place.keep(Secret::new("first")).unwrap();
        let second = place.keep(Secret::new("second")).unwrap_err();
        assert_eq!(second.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "first");
        assert_eq!(place.active(now).unwrap().iter().next().unwrap().1.expose(), "first");
        // Another configuration over the same file, made before the secret was there.
        let other = SecretFile::new(file, None);
        assert_eq!(
            other.keep(Secret::new("third")).unwrap_err().kind(),
            io::ErrorKind::AlreadyExists
        );
    }

    #[cfg(unix)]
    #[test]
    fn nobody_else_can_read_the_file() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("s");
        SecretFile::new(file.clone(), None).keep(Secret::new("x")).unwrap();
        assert_eq!(std::fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
