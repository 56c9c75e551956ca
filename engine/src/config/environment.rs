//! Everything that a configuration reads from outside, behind one trait: variables and files.
//! Tests and embedders put their own in.

use std::io::{self, Read};
use std::path::Path;

/// A file of the configuration may be no larger: routes.yaml, a schema, a secret.
pub const MAX_FILE: usize = 1024 * 1024;

/// Where variables and files come from.
pub trait Environment {
    /// The value of a variable; `None` where it is not set, or not Unicode.
    fn var(&self, name: &str) -> Option<String>;

    /// The bytes of a file. May stop one byte past [`MAX_FILE`].
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
}

/// The process's variables and the machine's files.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemEnvironment;

impl Environment for SystemEnvironment {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads variables")]
    fn var(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        // A device or a pipe must not fill the memory.
        std::fs::File::open(path)?.take(MAX_FILE as u64 + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}
