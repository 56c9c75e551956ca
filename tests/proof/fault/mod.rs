//! The fault shim: `fault.c`, compiled here and preloaded into the real program, whose storage calls
//! it counts and, at one of them, spoils. Used by the suites that go through every call.

pub(crate) mod process;
pub(crate) mod trial;

use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// Every call that is counted; the letters are those of `fault.c`.
pub(crate) const ALL: &str = "orwstnm";
/// Those that change something.
pub(crate) const CHANGES: &str = "owstn";

/// What goes wrong, and when.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fault {
    pub(crate) kind: &'static str,
    /// Which calls count.
    pub(crate) calls: &'static str,
    /// At this one, from 1 on; 0: at none.
    pub(crate) at: u64,
    /// And at each one from then on.
    pub(crate) ever: bool,
    /// What a power cut keeps of what was not synced; 0: nothing.
    pub(crate) seed: u64,
    /// Syncs do nothing and say that all is well.
    pub(crate) lie: bool,
}

impl Fault {
    pub(crate) const NONE: Self =
        Self { kind: "none", calls: ALL, at: 0, ever: false, seed: 0, lie: false };
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ever = if self.ever { ", and from then on" } else { "" };
        write!(f, "{} at call {} of `{}`{ever}", self.kind, self.at, self.calls)
    }
}

/// The compiled shim, and the step of the mid-handler suite.
pub(crate) struct Shim {
    _folder: TempDir,
    library: PathBuf,
    pub(crate) step: PathBuf,
}

impl Shim {
    /// Why it cannot be had here.
    pub(crate) fn missing() -> Option<&'static str> {
        if !cfg!(all(target_os = "linux", target_pointer_width = "64")) {
            return Some("no 64-bit Linux");
        }
        let mut cc = Command::new("cc");
        let there = cc.arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        (!there.is_ok_and(|s| s.success())).then_some("no C compiler")
    }

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
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            if output.status.success() { Ok(()) } else { Err(format!("cc: {said}")) }
        };
        cc(&["-shared", "-fPIC", "-O1", "-pthread", "-o", "preload.so", "preload.c"])?;
        cc(&["-O1", "-o", "step", "step.c"])?;
        Ok(Self { _folder: folder, library, step })
    }

    /// The environment in which a server meets this fault, on files below `folder`.
    pub(crate) fn env(&self, fault: &Fault, folder: &Path, trace: &Trace) -> Vec<(String, String)> {
        let flag = |on: bool| u8::from(on).to_string();
        let text = |path: &Path| path.to_str().expect("a temporary path is text").to_owned();
        let folder = folder.canonicalize().expect("the folder is there");
        // Between three and five seconds.
        let ms = 3000 + fault.at * 37 % 2000;
        [
            ("LD_PRELOAD", text(&self.library)),
            ("FAULT_DIR", text(&folder)),
            ("FAULT_TRACE", text(&trace.0)),
            ("FAULT_CALLS", fault.calls.to_owned()),
            ("FAULT_KIND", fault.kind.to_owned()),
            ("FAULT_AT", fault.at.to_string()),
            ("FAULT_EVER", flag(fault.ever)),
            ("FAULT_SEED", fault.seed.to_string()),
            ("FAULT_LIE", flag(fault.lie)),
            ("FAULT_MS", ms.to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
    }
}

/// The file that a server under the shim shares with us.
#[derive(Debug, Clone)]
pub(crate) struct Trace(pub(crate) PathBuf);

impl Trace {
    /// The letters of the calls so far.
    pub(crate) fn calls(&self) -> String {
        let bytes = std::fs::read(&self.0).unwrap_or_default();
        let letters = bytes.iter().skip(24).take_while(|b| **b != 0);
        letters.map(|b| char::from(*b)).collect()
    }

    /// How often the fault took place.
    pub(crate) fn fired(&self) -> u64 {
        let mut number = [0; 8];
        let file = std::fs::File::open(&self.0);
        let read = file.and_then(|file| file.read_exact_at(&mut number, 8));
        read.map_or(0, |()| u64::from_ne_bytes(number))
    }

    /// Asks for a power cut, now.
    pub(crate) fn cut(&self) -> std::io::Result<()> {
        let file = std::fs::File::options().write(true).open(&self.0)?;
        file.write_all_at(&1_u64.to_ne_bytes(), 16)
    }
}
