//! Kills the programs that are still running when the server ends, even if the server itself is
//! killed. Otherwise the next start would run the same job while its first program still runs.
//!
//! A shell reads from a pipe which process groups are running. The pipe closes however the server
//! ends, and then the shell kills the groups that are left. Without a shell on the machine, a
//! program survives a killed server.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};

use rustix::process::Pid;

const SHELL: &str = "/bin/sh";
/// Reads `+ PID` for a group that starts and `- PID` for one that has ended.
const WATCH_SCRIPT: &str = r#"live=' '
while read -r what pid; do
    case $what in
        +) live="$live$pid " ;;
        -) live="${live%%" $pid "*} ${live#*" $pid "}" ;;
    esac
done
for pid in $live; do kill -KILL "-$pid"; done"#;

/// A process group that is registered with the shell until it is dropped.
#[derive(Debug)]
pub(crate) struct WatchedGroup(Pid);

impl WatchedGroup {
    pub(crate) fn register(group: Pid) -> Self {
        report('+', group);
        Self(group)
    }
}

impl Drop for WatchedGroup {
    fn drop(&mut self) {
        report('-', self.0);
    }
}

/// Writes a line to the shell, which is started by the first call.
fn report(change: char, group: Pid) {
    static SHELL_INPUT: OnceLock<Mutex<Option<ChildStdin>>> = OnceLock::new();
    let input = SHELL_INPUT.get_or_init(|| Mutex::new(start_shell()));
    let mut input = input.lock().unwrap_or_else(PoisonError::into_inner);
    let line = format!("{change} {}\n", group.as_raw_nonzero());
    // A shell that has ended is not replaced, because the groups registered with it are lost.
    if input.as_mut().is_some_and(|input| input.write_all(line.as_bytes()).is_err()) {
        *input = None;
    }
}

/// Starts the shell in its own process group, so that a signal from the terminal to the server does
/// not end the shell first.
fn start_shell() -> Option<ChildStdin> {
    let mut shell = Command::new(SHELL);
    shell.args(["-c", WATCH_SCRIPT]).env_clear().current_dir("/").process_group(0);
    shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    shell.spawn().ok()?.stdin.take()
}
