//! Which program is run and what it may see. Called by the handler for each run and by its probe.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use hookward_core::Secret;
use rustix::fs::{Access, access};
use tokio::process::Command;

/// What the server's own environment gives to a program. All else, secrets above all, stays here.
const INHERITED: [&str; 4] = ["PATH", "HOME", "LANG", "TZ"];

/// The command as configured.
pub(crate) struct Program {
    pub(crate) name: String,
    pub(crate) args: Vec<String>,
    pub(crate) env: BTreeMap<String, Secret>,
    pub(crate) base_dir: PathBuf,
}

impl Program {
    /// Ready to be started, with `about` in its environment.
    pub(crate) fn command(&self, about: &[(&str, String)]) -> Result<Command, String> {
        let mut command = Command::new(self.find()?);
        command.arg0(&self.name).args(&self.args).current_dir(self.folder()?).env_clear();
        for name in INHERITED {
            if let Some(value) = inherited(name) {
                command.env(name, value);
            }
        }
        for (name, value) in about {
            command.env(name, value);
        }
        for (name, value) in &self.env {
            command.env(name, value.expose());
        }
        Ok(command)
    }

    /// The file to be run. The text of the error is for the operator.
    pub(crate) fn find(&self) -> Result<PathBuf, String> {
        let name = &self.name;
        if name.contains('/') {
            let path = self.folder()?.join(name);
            return match runnable(&path) {
                true => Ok(path),
                false => Err(format!("`{name}` is no program that can be run: {}", path.display())),
            };
        }
        let own = self.env.get("PATH").map(|path| OsString::from(path.expose()));
        let path = own.or_else(|| inherited("PATH")).unwrap_or_default();
        // An empty entry means the current folder, which is nobody's intention here.
        let folders = env::split_paths(&path).filter(|folder| folder.is_absolute());
        let mut files = folders.map(|folder| folder.join(name));
        files
            .find(|file| runnable(file))
            .ok_or_else(|| format!("`{name}` is not found on PATH ({})", path.to_string_lossy()))
    }

    /// Absolute, since the program is started from within it.
    fn folder(&self) -> Result<PathBuf, String> {
        let base = if self.base_dir.as_os_str().as_bytes().is_empty() {
            Path::new(".")
        } else {
            &self.base_dir
        };
        std::path::absolute(base).map_err(|e| format!("the folder of routes.yaml is unknown: {e}"))
    }
}

fn runnable(path: &Path) -> bool {
    path.is_file() && access(path, Access::EXEC_OK).is_ok()
}

/// The one place of this crate that reads the environment: for handing it on, not for settings.
fn inherited(name: &str) -> Option<OsString> {
    env::var_os(name)
}
