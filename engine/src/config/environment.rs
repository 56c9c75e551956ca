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
