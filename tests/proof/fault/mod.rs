//! The fault shim: `preload.c`, compiled here and preloaded into the real server. It counts the
//! server's storage calls and makes one of them fail. Used by `sweep`, `recovery` and
//! `mid-handler`.

pub(crate) mod process;
pub(crate) mod trial;

use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// Letters of all counted calls, as `preload.c` defines them.
pub(crate) const ALL_CALLS: &str = "orwstnm";
/// Letters of the calls that change something.
pub(crate) const CHANGING_CALLS: &str = "owstn";

/// A fault and the calls in which it happens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fault {
    pub(crate) kind: &'static str,
    /// Letters of the calls that are counted.
    pub(crate) calls: &'static str,
    /// Number of the call that fails, from 1; 0 for none.
    pub(crate) at: u64,
    /// All later calls fail, too.
    pub(crate) persistent: bool,
    /// Seed that decides which unsynced data survives a power cut; 0 for none of it.
    pub(crate) seed: u64,
    /// Syncs succeed without effect.
    pub(crate) fake_syncs: bool,
}

impl Fault {
    pub(crate) const NONE: Self = Self {
        kind: "none",
        calls: ALL_CALLS,
        at: 0,
        persistent: false,
        seed: 0,
        fake_syncs: false,
    };
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let later = if self.persistent { " and all later ones" } else { "" };
        write!(f, "{} at call {} of `{}`{later}", self.kind, self.at, self.calls)
    }
}

/// The compiled shim, and the compiled step of the suite `mid-handler`.
pub(crate) struct Shim {
    _folder: TempDir,
    library: PathBuf,
    pub(crate) step: PathBuf,
}

impl Shim {
    /// Returns why the shim cannot be built here.
    pub(crate) fn missing_requirement() -> Option<&'static str> {
        if !cfg!(all(target_os = "linux", target_pointer_width = "64")) {
            return Some("no 64-bit Linux");
        }
        let mut cc = Command::new("cc");
        let version = cc.arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        (!version.is_ok_and(|s| s.success())).then_some("no C compiler")
    }

    /// Compiles the shim and the step into a temporary folder.
    pub(crate) fn build() -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
        let library = folder.path().join("preload.so");
        let step = folder.path().join("step");
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text);
        write("preload.c", include_str!("preload.c")).map_err(|e| e.to_string())?;
        write("step.c", include_str!("../mid_handler.c")).map_err(|e| e.to_string())?;
        let cc = |args: &[&str]| {
            let run = Command::new("cc").current_dir(folder.path()).args(args).output();
            let output = run.map_err(|e| format!("cc: {e}"))?;
            let errors = String::from_utf8_lossy(&output.stderr).into_owned();
            if output.status.success() { Ok(()) } else { Err(format!("cc: {errors}")) }
        };
        cc(&["-shared", "-fPIC", "-O1", "-pthread", "-o", "preload.so", "preload.c"])?;
        cc(&["-O1", "-o", "step", "step.c"])?;
        Ok(Self { _folder: folder, library, step })
    }

    /// Returns the environment that injects the fault into a server, in its files below `folder`.
    pub(crate) fn env(
        &self,
        fault: &Fault,
        folder: &Path,
        trace: &CallTrace,
    ) -> Vec<(String, String)> {
        let flag = |on: bool| u8::from(on).to_string();
        let text = |path: &Path| path.to_str().expect("a temporary path is UTF-8").to_owned();
        let folder = folder.canonicalize().expect("an existing folder");
        // Delays differ, between three and five seconds, so that runs at the same time do not wake
        // together.
        let delay_ms = 3000 + fault.at * 37 % 2000;
        [
            ("LD_PRELOAD", text(&self.library)),
            ("FAULT_DIR", text(&folder)),
            ("FAULT_TRACE", text(&trace.0)),
            ("FAULT_CALLS", fault.calls.to_owned()),
            ("FAULT_KIND", fault.kind.to_owned()),
            ("FAULT_AT", fault.at.to_string()),
            ("FAULT_PERSISTENT", flag(fault.persistent)),
            ("FAULT_SEED", fault.seed.to_string()),
            ("FAULT_FAKE_SYNCS", flag(fault.fake_syncs)),
            ("FAULT_MS", delay_ms.to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
    }
}

/// The file that a server under the shim shares with the suite; `preload.c` defines its layout.
#[derive(Debug, Clone)]
pub(crate) struct CallTrace(pub(crate) PathBuf);

impl CallTrace {
    /// Returns the letters of the calls so far.
    pub(crate) fn calls(&self) -> String {
        let bytes = std::fs::read(&self.0).unwrap_or_default();
        let letters = bytes.iter().skip(24).take_while(|b| **b != 0);
        letters.map(|b| char::from(*b)).collect()
    }

    /// Returns how many calls had the fault.
    pub(crate) fn injected(&self) -> u64 {
        let mut number = [0; 8];
        let file = std::fs::File::open(&self.0);
        let read = file.and_then(|file| file.read_exact_at(&mut number, 8));
        read.map_or(0, |()| u64::from_ne_bytes(number))
    }

    /// Asks the shim for a power cut.
    pub(crate) fn cut(&self) -> std::io::Result<()> {
        let file = std::fs::File::options().write(true).open(&self.0)?;
        file.write_all_at(&1_u64.to_ne_bytes(), 16)
    }
}
