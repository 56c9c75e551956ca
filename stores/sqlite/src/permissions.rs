//! Whether other users of the machine can read the files of the store, or put others in their place.
//! New files have the mode 0600; these checks are for files of earlier versions, for restored ones,
//! and for their folder.

use std::path::{Path, PathBuf};

use crate::telemetry;

/// The files that hold payloads, or whose lock another user must not take.
const ENDS: [&str; 5] = ["", "-wal", "-shm", ".lock", ".mark"];

/// Finds the files of the store at `path` that others than its user can open, and a folder in which
/// others can replace them. Each text says what was found and what to do. Empty where nothing is
/// open, where there is no store yet, and on systems without such modes.
pub fn find_open_permissions(path: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for end in ENDS {
        let mut name = path.as_os_str().to_owned();
        name.push(end);
        let file = PathBuf::from(name);
        match mode(&file) {
            Some(mode) if mode & 0o077 != 0 => found.push(format!(
                "{} can be opened by other users (its mode is {mode:04o}); make it private: chmod \
                 600 {}",
                file.display(),
                file.display()
            )),
            _ => {}
        }
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    // With the sticky bit, as of /tmp, others cannot replace the files of this user.
    match mode(folder) {
        Some(mode) if mode & 0o022 != 0 && mode & 0o1000 == 0 && path.exists() => {
            found.push(format!(
                "{} can be changed by other users (its mode is {mode:04o}), who can replace the \
                 files of the store; make it private: chmod 700 {}",
                folder.display(),
                folder.display()
            ));
        }
        _ => {}
    }
    found
}

/// Logs a line for each of [`find_open_permissions`].
pub fn warn_of_open_permissions(path: &Path) {
    for problem in find_open_permissions(path) {
        telemetry::open_permissions(&problem);
    }
}

#[cfg(unix)]
fn mode(path: &Path) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().ok().map(|found| found.permissions().mode() & 0o7777)
}

#[cfg(not(unix))]
fn mode(_: &Path) -> Option<u32> {
    None
}

#[cfg(all(test, unix))]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn set_mode(path: &Path, mode: u32) {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn files_and_a_folder_that_are_open_to_others_are_named_with_the_cure() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        assert_eq!(find_open_permissions(&path), [""; 0]);
        for end in ENDS {
            let file = PathBuf::from(format!("{}{end}", path.display()));
            std::fs::write(&file, "x").unwrap();
            set_mode(&file, 0o600);
        }
        assert_eq!(find_open_permissions(&path), [""; 0]);
        for end in ENDS {
            let file = format!("{}{end}", path.display());
            for open in [0o640, 0o604, 0o620, 0o666] {
                set_mode(Path::new(&file), open);
                let found = find_open_permissions(&path);
                assert_eq!(found.len(), 1, "{file} {open:o}: {found:?}");
                assert!(found.iter().all(|text| text.contains(&format!("chmod 600 {file}"))));
            }
            set_mode(Path::new(&file), 0o600);
        }
        set_mode(folder.path(), 0o777);
        assert!(find_open_permissions(&path).iter().all(|text| text.contains("chmod 700")));
        assert_eq!(find_open_permissions(&path).len(), 1);
        set_mode(folder.path(), 0o1777);
        assert_eq!(find_open_permissions(&path), [""; 0]);
    }
}
