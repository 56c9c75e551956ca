//! Runs a program once: writes its input, reads its standard error, waits for its end, and kills
//! what is left of it.
//!
//! The program leads its own process group. The whole group is killed when the program ends, and
//! when the future is dropped at the step timeout. A process that starts its own session (`setsid`)
//! leaves the group and is not killed.

use std::fmt::Write as _;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{ChildStdin, Command};

use crate::watch::WatchedGroup;

/// Maximum bytes of standard error in memory.
const MAX_STDERR_BYTES: usize = 64 * 1024;
/// Bytes from the end of standard error that the failure shows.
const SHOWN_STDERR_BYTES: usize = 1024;
/// How long standard error may stay open after the program and its group have ended: a process
/// outside the group may hold it open.
const STDERR_CLOSE_TIMEOUT: Duration = Duration::from_millis(500);
/// Exit code `EX_TEMPFAIL` of sysexits.h: the program asks for a retry.
const EX_TEMPFAIL: i32 = 75;

/// Exit status and standard error of a program that ended.
#[derive(Debug)]
pub(crate) struct ProgramResult {
    status: ExitStatus,
    errors: Tail,
}

impl ProgramResult {
    /// Describes the failure, with the end of standard error; `None` after exit code 0.
    pub(crate) fn failure(&self) -> Option<String> {
        let mut text = match (self.status.code(), self.status.signal()) {
            (Some(0), _) => return None,
            (Some(EX_TEMPFAIL), _) => format!("exited with {EX_TEMPFAIL}, asking for a retry"),
            (Some(code), _) => format!("exited with {code}"),
            (None, Some(signal)) => format!("was killed by signal {signal}"),
            (None, None) => "ended without an exit code".to_owned(),
        };
        let errors = self.errors.end_on_one_line();
        if !errors.is_empty() {
            text.push_str(": ");
            text.push_str(&errors);
        }
        Some(text)
    }
}

/// Runs the command with `input` on its standard input.
pub(crate) async fn run(mut command: Command, input: Vec<u8>) -> io::Result<ProgramResult> {
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.process_group(0).kill_on_drop(true).spawn()?;
    let mut group = Group::led_by(child.id());
    let (stdin, stderr) = (child.stdin.take(), child.stderr.take());
    let mut errors = Tail::default();
    let status = {
        let mut pipes_are_open = true;
        let pipes = async { tokio::join!(feed(stdin, &input), errors.drain(stderr)) };
        tokio::pin!(pipes);
        let status = tokio::select! {
            status = child.wait() => status?,
            _ = &mut pipes => {
                pipes_are_open = false;
                child.wait().await?
            }
        };
        group.kill();
        if pipes_are_open {
            let _ = tokio::time::timeout(STDERR_CLOSE_TIMEOUT, pipes).await;
        }
        status
    };
    Ok(ProgramResult { status, errors })
}

/// Writes the input. A program need not read it: a closed pipe is not a failure, the exit code
/// decides.
async fn feed(stdin: Option<ChildStdin>, input: &[u8]) {
    if let Some(mut stdin) = stdin {
        let _ = stdin.write_all(input).await;
    }
}

/// A process group that is killed once: by `kill`, or else on drop. The kernel does not reuse the
/// id while the leader is not reaped or a member lives, so the signal cannot reach another group.
struct Group(Option<(Pid, WatchedGroup)>);

impl Group {
    fn led_by(id: Option<u32>) -> Self {
        let pid = id.and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        Self(pid.map(|pid| (pid, WatchedGroup::register(pid))))
    }

    fn kill(&mut self) {
        if let Some((pid, _watched)) = self.0.take() {
            // Fails if no member is left, which is the goal.
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The last bytes of a stream, in bounded memory.
#[derive(Debug, Default)]
struct Tail(Vec<u8>);

impl Tail {
    async fn drain(&mut self, stream: Option<impl AsyncRead + Unpin>) {
        let Some(mut stream) = stream else { return };
        let mut chunk = [0; 8 * 1024];
        while let Ok(read @ 1..) = stream.read(&mut chunk).await {
            self.0.extend_from_slice(chunk.get(..read).unwrap_or_default());
            if self.0.len() > MAX_STDERR_BYTES - chunk.len() {
                self.0.drain(..self.0.len() - SHOWN_STDERR_BYTES);
            }
        }
    }

    /// Returns the last bytes on one line, with control characters escaped.
    fn end_on_one_line(&self) -> String {
        let start = self.0.len().saturating_sub(SHOWN_STDERR_BYTES);
        let end = String::from_utf8_lossy(self.0.get(start..).unwrap_or_default());
        let mut shown = String::new();
        for c in end.trim().chars() {
            if c.is_control() {
                let _ = write!(shown, "{}", c.escape_default());
            } else {
                shown.push(c);
            }
        }
        shown
    }
}
