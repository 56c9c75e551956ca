//! Nothing that was started outlives the server, not even where that is killed: its next start runs the
//! same job again, and two of them at a time were never asked for.
//!
//! A shell of our own reads from a pipe which process groups are there. Its end, which comes however the
//! server ends, is when the shell kills those that are left. Where there is no shell, a program goes on
//! by itself after a kill.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};

use rustix::process::Pid;

const SHELL: &str = "/bin/sh";
/// `+ PID` for a group that begins, `- PID` for one that is gone.
const SCRIPT: &str = r#"live=' '
while read -r what pid; do
    case $what in
        +) live="$live$pid " ;;
        -) live="${live%%" $pid "*} ${live#*" $pid "}" ;;
    esac
done
for pid in $live; do kill -KILL "-$pid"; done"#;

/// A group that the shell knows of.
#[derive(Debug)]
pub(crate) struct Watched(Pid);

impl Watched {
    pub(crate) fn begin(group: Pid) -> Self {
        tell('+', group);
        Self(group)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        tell('-', self.0);
    }
}

fn tell(what: char, group: Pid) {
    static SHELL_INPUT: OnceLock<Mutex<Option<ChildStdin>>> = OnceLock::new();
    let input = SHELL_INPUT.get_or_init(|| Mutex::new(start()));
    let mut input = input.lock().unwrap_or_else(PoisonError::into_inner);
    let line = format!("{what} {}\n", group.as_raw_nonzero());
    // A shell that is gone is not replaced: what it knew is gone with it.
    if input.as_mut().is_some_and(|input| input.write_all(line.as_bytes()).is_err()) {
        *input = None;
    }
}

/// In a group of its own, so that what ends the server from a terminal does not end it first.
fn start() -> Option<ChildStdin> {
    let mut shell = Command::new(SHELL);
    shell.args(["-c", SCRIPT]).env_clear().current_dir("/").process_group(0);
    shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    shell.spawn().ok()?.stdin.take()
}
