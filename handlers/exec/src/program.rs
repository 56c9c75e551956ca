//! Finds the program and builds its environment. The handler calls this module for each run, its
//! probe before the first.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use hookward_core::Secret;
use rustix::fs::{Access, access};
use tokio::process::Command;

/// Variables that a program inherits from the server. All others stay in the server, because some
/// contain secrets.
const INHERITED_VARIABLES: [&str; 4] = ["PATH", "HOME", "LANG", "TZ"];

/// The command of a step, as configured.
pub(crate) struct Program {
    pub(crate) name: String,
    pub(crate) args: Vec<String>,
    pub(crate) env: BTreeMap<String, Secret>,
    pub(crate) base_dir: PathBuf,
}

impl Program {
    /// Returns the command, ready to start, with `event_env` in its environment.
    pub(crate) fn command(&self, event_env: &[(&str, String)]) -> Result<Command, String> {
        let mut command = Command::new(self.find()?);
        command.arg0(&self.name).args(&self.args).current_dir(self.folder()?).env_clear();
        for name in INHERITED_VARIABLES {
            if let Some(value) = inherited_env(name) {
                command.env(name, value);
            }
        }
        for (name, value) in event_env {
            command.env(name, value);
        }
        for (name, value) in &self.env {
            command.env(name, value.expose());
        }
        Ok(command)
    }

    /// Returns the file of the program. The error is shown to the operator.
    pub(crate) fn find(&self) -> Result<PathBuf, String> {
        let name = &self.name;
        if name.contains('/') {
            let path = self.folder()?.join(name);
            return match is_executable(&path) {
                true => Ok(path),
                false => Err(format!("`{name}` is not an executable file: {}", path.display())),
            };
        }
        let own = self.env.get("PATH").map(|path| OsString::from(path.expose()));
        let path = own.or_else(|| inherited_env("PATH")).unwrap_or_default();
        // An empty entry of PATH means the current folder, where an attacker may be able to write.
        let folders = env::split_paths(&path).filter(|folder| folder.is_absolute());
        let mut files = folders.map(|folder| folder.join(name));
        files
            .find(|file| is_executable(file))
            .ok_or_else(|| format!("`{name}` is not found on PATH ({})", path.to_string_lossy()))
    }

    /// Returns the absolute folder of routes.yaml. The program is started in it, so a relative path
    /// would be resolved twice.
    fn folder(&self) -> Result<PathBuf, String> {
        let base = if self.base_dir.as_os_str().as_bytes().is_empty() {
            Path::new(".")
        } else {
            &self.base_dir
        };
        std::path::absolute(base).map_err(|e| format!("the folder of routes.yaml is unknown: {e}"))
    }
}

fn is_executable(path: &Path) -> bool {
    path.is_file() && access(path, Access::EXEC_OK).is_ok()
}

/// Reads a variable to pass it on. This is the only place of the crate that reads the environment;
/// settings never come from it.
fn inherited_env(name: &str) -> Option<OsString> {
    env::var_os(name)
}
