//! The measured server as a process of its own: starts it, reads the CPU time that it used, stops
//! it.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::BenchResult;

/// How long a server may take until it prints its addresses.
const START_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a server may take to stop: the drain of connections and of running steps, and a
/// reserve.
const STOP_TIMEOUT: Duration = Duration::from_secs(35);

/// A running server, which is killed if it is dropped without [`Child::stop`].
pub(crate) struct Child {
    process: std::process::Child,
    pub(crate) receiving: SocketAddr,
    pub(crate) admin: Option<SocketAddr>,
    log: PathBuf,
}

impl Child {
    /// Starts a server and waits until it prints where it listens, and with `admin` where its admin
    /// port is. Its log goes to a file in `folder`.
    pub(crate) fn start(mut command: Command, folder: &Path, admin: bool) -> BenchResult<Self> {
        let log = folder.join("server.log");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(File::create(&log)?);
        let mut process = command.current_dir(folder).spawn()?;
        let lines = stdout_lines(process.stdout.take());
        match wait_until_ready(&lines, admin) {
            Ok((receiving, admin)) => Ok(Self { process, receiving, admin, log }),
            Err(error) => {
                process.kill()?;
                process.wait()?;
                Err(format!("the server did not start: {error}\n{}", log_tail(&log)).into())
            }
        }
    }

    /// The CPU time, user and system, that all its threads have used so far.
    pub(crate) fn cpu(&self) -> BenchResult<Duration> {
        cpu_of(&self.process.id().to_string())
    }

    /// Sends SIGTERM and waits. An exit with an error, or none in time, is an error.
    pub(crate) fn stop(mut self) -> BenchResult<()> {
        kill_process(Pid::from_child(&self.process), Signal::TERM)?;
        let start = Instant::now();
        loop {
            match self.process.try_wait()? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => {
                    return Err(format!("the server failed: {status}\n{}", self.log_tail()).into());
                }
                None if start.elapsed() > STOP_TIMEOUT => {
                    return Err(format!("the server did not stop in {STOP_TIMEOUT:?}").into());
                }
                None => std::thread::sleep(Duration::from_millis(20)),
            }
        }
    }

    /// The last lines of its log, for error messages.
    pub(crate) fn log_tail(&self) -> String {
        log_tail(&self.log)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // After `stop` the process is gone and both calls fail.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The CPU time of a process with all its threads; `process` is an id or `self`.
pub(crate) fn cpu_of(process: &str) -> BenchResult<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    let ticks = cpu_ticks(&stat).ok_or("/proc/PID/stat has an unknown format")?;
    Ok(ticks_to_duration(ticks))
}

/// The CPU time that all processes of the machine have used.
pub(crate) fn cpu_of_machine() -> BenchResult<Duration> {
    let stat = std::fs::read_to_string("/proc/stat")?;
    let fields = stat.lines().next().and_then(|line| line.strip_prefix("cpu "));
    let fields: Vec<u64> = fields
        .ok_or("/proc/stat has an unknown format")?
        .split_whitespace()
        .map_while(|field| field.parse().ok())
        .collect();
    // The fields are user nice system idle iowait irq softirq steal; guests are part of user
    // (proc(5)).
    let busy = fields.iter().enumerate().filter(|(n, _)| ![3, 4].contains(n) && *n < 8);
    Ok(ticks_to_duration(busy.map(|(_, ticks)| ticks).sum()))
}

fn ticks_to_duration(ticks: u64) -> Duration {
    Duration::from_secs(ticks)
        / u32::try_from(rustix::param::clock_ticks_per_second()).unwrap_or(100)
}

/// The sum of utime and stime in /proc/PID/stat. The name, in parentheses, may contain anything, so
/// fields are counted from its end.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
}

/// Reads standard output to its end in a thread, so that a full pipe never blocks the server.
fn stdout_lines(stdout: Option<std::process::ChildStdout>) -> Receiver<String> {
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        for line in stdout.into_iter().flat_map(|out| BufReader::new(out).lines()) {
            let Ok(line) = line else { break };
            // Fails once the server is ready and nobody receives any more.
            let _ = sender.send(line);
        }
    });
    lines
}

fn wait_until_ready(
    lines: &Receiver<String>,
    wants_admin: bool,
) -> BenchResult<(SocketAddr, Option<SocketAddr>)> {
    let deadline = Instant::now() + START_TIMEOUT;
    let (mut receiving, mut admin) = (None, None);
    loop {
        if let Some(address) = receiving
            && (admin.is_some() || !wants_admin)
        {
            return Ok((address, admin));
        }
        match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => {
                if let Some(address) = line.strip_prefix("listening on http://") {
                    receiving = Some(address.trim().parse()?);
                } else if let Some(address) = line.strip_prefix("admin on http://") {
                    admin = Some(address.trim().parse()?);
                }
            }
            Err(RecvTimeoutError::Timeout) => {
                return Err(
                    format!("it did not print its addresses within {START_TIMEOUT:?}").into()
                );
            }
            Err(RecvTimeoutError::Disconnected) => return Err("it exited".into()),
        }
    }
}

fn log_tail(log: &Path) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<_> = text.lines().rev().take(15).collect();
    lines.into_iter().rev().map(|line| format!("  {line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_fields_are_found_after_any_process_name() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194560 1 0 0 0 250 30 0 0 20 0 3 0 9 1 1 1";
        assert_eq!(cpu_ticks(stat), Some(280));
        assert_eq!(cpu_ticks("7 (a"), None);
    }

    #[test]
    fn cpu_time_of_this_process_is_measured() {
        let before = cpu_of("self").unwrap();
        let (machine, started) = (cpu_of_machine().unwrap(), Instant::now());
        while started.elapsed() < Duration::from_millis(300) {
            std::hint::black_box(0);
        }
        assert!(cpu_of("self").unwrap() - before >= Duration::from_millis(50));
        assert!(cpu_of_machine().unwrap() > machine);
    }

    #[test]
    fn a_server_that_exits_at_its_start_is_reported_with_its_log() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "echo no such key >&2; exit 2"]);
        let error = Child::start(command, folder.path(), false).err().unwrap().to_string();
        assert!(error.contains("no such key"), "{error}");
    }
}
