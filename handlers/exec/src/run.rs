//! One run of a program: feed it, listen to it, wait for it, and leave nothing of it behind.
//!
//! The program leads a process group of its own. Whenever the run is over, because it ended or
//! because the future was dropped at the step timeout, the whole group is killed; a process that
//! made itself a session of its own (`setsid`) is out of reach.

use std::fmt::Write as _;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{ChildStdin, Command};

use crate::watch::Watched;

/// At most this much of standard error is kept at any time.
const KEPT: usize = 64 * 1024;
/// This much of it, its end, is shown in the error.
const SHOWN: usize = 1024;
/// How long standard error may stay open once the program and its group are gone: a process out of
/// the group may hold it.
const LINGER: Duration = Duration::from_millis(500);
/// `EX_TEMPFAIL` of sysexits.h.
const TRY_AGAIN: i32 = 75;

/// How a program ended.
#[derive(Debug)]
pub(crate) struct Ended {
    status: ExitStatus,
    errors: Tail,
}

impl Ended {
    /// What went wrong, with the end of standard error; `None` after exit code 0.
    pub(crate) fn failure(&self) -> Option<String> {
        let mut text = match (self.status.code(), self.status.signal()) {
            (Some(0), _) => return None,
            (Some(TRY_AGAIN), _) => format!("exited with {TRY_AGAIN}, asking for another attempt"),
            (Some(code), _) => format!("exited with {code}"),
            (None, Some(signal)) => format!("was killed by signal {signal}"),
            (None, None) => "ended without an exit code".to_owned(),
        };
        let errors = self.errors.shown();
        if !errors.is_empty() {
            text.push_str(": ");
            text.push_str(&errors);
        }
        Some(text)
    }
}

/// Runs the command with `input` on its standard input.
pub(crate) async fn run(mut command: Command, input: Vec<u8>) -> io::Result<Ended> {
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.process_group(0).kill_on_drop(true).spawn()?;
    let mut group = Group::led_by(child.id());
    let (stdin, stderr) = (child.stdin.take(), child.stderr.take());
    let mut errors = Tail::default();
    let status = {
        let mut listening = true;
        let talk = async { tokio::join!(feed(stdin, &input), errors.drain(stderr)) };
        tokio::pin!(talk);
        let status = tokio::select! {
            status = child.wait() => status?,
            _ = &mut talk => {
                listening = false;
                child.wait().await?
            }
        };
        group.kill();
        if listening {
            let _ = tokio::time::timeout(LINGER, talk).await;
        }
        status
    };
    Ok(Ended { status, errors })
}

/// A program need not read its input: a closed pipe is no failure, the exit code decides.
async fn feed(stdin: Option<ChildStdin>, input: &[u8]) {
    if let Some(mut stdin) = stdin {
        let _ = stdin.write_all(input).await;
    }
}

/// Kills the group once: on demand, else when dropped. While the leader has not been waited for,
/// and while any member lives, its number cannot name another group.
struct Group(Option<(Pid, Watched)>);

impl Group {
    fn led_by(id: Option<u32>) -> Self {
        let pid = id.and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        Self(pid.map(|pid| (pid, Watched::begin(pid))))
    }

    fn kill(&mut self) {
        if let Some((pid, _watched)) = self.0.take() {
            // Fails where no member is left, which is what is wanted.
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The end of a stream, in bounded memory.
#[derive(Debug, Default)]
struct Tail(Vec<u8>);

impl Tail {
    async fn drain(&mut self, stream: Option<impl AsyncRead + Unpin>) {
        let Some(mut stream) = stream else { return };
        let mut chunk = [0; 8 * 1024];
        while let Ok(read @ 1..) = stream.read(&mut chunk).await {
            self.0.extend_from_slice(chunk.get(..read).unwrap_or_default());
            if self.0.len() > KEPT - chunk.len() {
                self.0.drain(..self.0.len() - SHOWN);
            }
        }
    }

    /// The last part, on one line.
    fn shown(&self) -> String {
        let start = self.0.len().saturating_sub(SHOWN);
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
