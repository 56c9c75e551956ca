//! Everything that a configuration reads from outside itself: variables and files, behind one
//! trait. Tests and embedders bring their own.

use std::io::{self, Read};
use std::path::Path;

/// The maximum size of a file that a configuration reads: routes.yaml itself, a schema, a secret.
pub const MAX_FILE_BYTES: usize = 1024 * 1024;

/// A source of variables and files.
pub trait Environment {
    /// Returns the value of a variable; `None` where it is not set or not Unicode.
    fn var(&self, name: &str) -> Option<String>;

    /// Reads a file. May stop one byte past [`MAX_FILE_BYTES`], which the caller rejects.
    ///
    /// # Errors
    /// The error of the file system.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// Returns what other users of the machine can do with a file. By default nothing, also where
    /// there is no such file.
    fn access_of_others(&self, path: &Path) -> AccessOfOthers {
        let _ = path;
        AccessOfOthers::default()
    }
}

/// What users other than the owner and the group of a file can do with it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AccessOfOthers {
    /// They can read it.
    pub read: bool,
    /// They can change it, or replace it by another file.
    pub write: bool,
}

/// The variables of the process and the files of the machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemEnvironment;

impl Environment for SystemEnvironment {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads variables")]
    fn var(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        // The path may name a device or a pipe without an end, which would fill the memory.
        std::fs::File::open(path)?.take(MAX_FILE_BYTES as u64 + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    #[cfg(unix)]
    fn access_of_others(&self, path: &Path) -> AccessOfOthers {
        unix_access_of_others(path).unwrap_or_default()
    }
}

/// By the modes of the file and of all folders above it; `None` where they cannot be read, or the
/// path names a pipe or a device.
#[cfg(unix)]
fn unix_access_of_others(path: &Path) -> Option<AccessOfOthers> {
    use std::os::unix::fs::MetadataExt;
    const READ: u32 = 0o004;
    const WRITE: u32 = 0o002;
    const SEARCH: u32 = 0o001;
    const STICKY: u32 = 0o1000;
    // Links are followed: what counts is the file that is read.
    let path = std::fs::canonicalize(path).ok()?;
    let file = std::fs::metadata(&path).ok().filter(std::fs::Metadata::is_file)?.mode();
    let mut folders = Vec::new();
    for folder in path.ancestors().skip(1) {
        folders.push(std::fs::metadata(folder).ok()?.mode());
    }
    // A file is out of reach in a folder that others cannot search.
    if folders.iter().any(|mode| mode & SEARCH == 0) {
        return Some(AccessOfOthers::default());
    }
    // In a sticky folder, such as /tmp, only the owner can replace a file.
    let replaceable = folders.iter().any(|mode| mode & WRITE != 0 && mode & STICKY == 0);
    Some(AccessOfOthers { read: file & READ != 0, write: file & WRITE != 0 || replaceable })
}

/// Reads a file of up to [`MAX_FILE_BYTES`]; the error is a reason for messages.
pub(super) fn read_file(environment: &dyn Environment, path: &Path) -> Result<Vec<u8>, String> {
    match environment.read(path) {
        Ok(bytes) if bytes.len() > MAX_FILE_BYTES => Err("it is larger than 1 MiB".to_owned()),
        Ok(bytes) => Ok(bytes),
        Err(e) => Err(read_error(&e)),
    }
}

/// Reads a text file of up to [`MAX_FILE_BYTES`]; the error is a reason for messages.
pub(super) fn read_text(environment: &dyn Environment, path: &Path) -> Result<String, String> {
    let bytes = read_file(environment, path)?;
    String::from_utf8(bytes).map_err(|_| "it is not UTF-8 text".to_owned())
}

/// Why a file cannot be read, without the error number, which differs between systems.
pub(super) fn read_error(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::IsADirectory => "it is a folder".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(all(test, unix))]
#[allow(clippy::unwrap_used, reason = "clippy knows tests by `cfg(test)` alone")]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn set_mode(path: &Path, mode: u32) {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn others_reach_a_file_by_its_mode_and_the_modes_of_its_folders() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("conf");
        std::fs::create_dir(&folder).unwrap();
        let file = folder.join("secret");
        std::fs::write(&file, "x").unwrap();
        for (outer, inner, mode, read, write) in [
            (0o755, 0o755, 0o644, true, false),
            (0o755, 0o755, 0o640, false, false),
            (0o755, 0o755, 0o666, true, true),
            (0o755, 0o755, 0o662, false, true),
            // Out of reach.
            (0o700, 0o755, 0o666, false, false),
            (0o755, 0o750, 0o666, false, false),
            // Replaceable, unless the folder is sticky.
            (0o755, 0o777, 0o600, false, true),
            (0o777, 0o755, 0o600, false, true),
            (0o755, 0o1777, 0o600, false, false),
        ] {
            set_mode(dir.path(), outer);
            set_mode(&folder, inner);
            set_mode(&file, mode);
            let expected = AccessOfOthers { read, write };
            let found = SystemEnvironment.access_of_others(&file);
            assert_eq!(found, expected, "{outer:o} {inner:o} {mode:o}");
        }
    }

    #[test]
    fn a_link_counts_as_the_file_that_it_names() {
        let dir = tempfile::tempdir().unwrap();
        set_mode(dir.path(), 0o755);
        let (file, link) = (dir.path().join("secret"), dir.path().join("link"));
        std::fs::write(&file, "x").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        set_mode(&file, 0o644);
        assert!(SystemEnvironment.access_of_others(&link).read);
        set_mode(&file, 0o600);
        assert!(!SystemEnvironment.access_of_others(&link).read);
    }

    #[test]
    fn folders_and_missing_files_are_not_reported() {
        let dir = tempfile::tempdir().unwrap();
        set_mode(dir.path(), 0o777);
        let environment = SystemEnvironment;
        assert_eq!(environment.access_of_others(dir.path()), AccessOfOthers::default());
        let missing = environment.access_of_others(&dir.path().join("missing"));
        assert_eq!(missing, AccessOfOthers::default());
    }
}
