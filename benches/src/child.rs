//! The server that is measured, as a process of its own: started, asked what CPU it used, stopped.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::Outcome;

const READY: Duration = Duration::from_secs(15);
const STOPPED: Duration = Duration::from_secs(35);

/// A running server. One that is dropped without [`Child::stop`] is killed.
pub(crate) struct Child {
    process: std::process::Child,
    pub(crate) receiving: SocketAddr,
    pub(crate) admin: Option<SocketAddr>,
    log: PathBuf,
}

impl Child {
    /// Returns once it said where it listens, and where its admin port is if `admin`. Its log goes to
    /// a file in `folder`.
    pub(crate) fn start(mut command: Command, folder: &Path, admin: bool) -> Outcome<Self> {
        let log = folder.join("server.log");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(File::create(&log)?);
        let mut process = command.current_dir(folder).spawn()?;
        let lines = lines(process.stdout.take());
        match ready(&lines, admin) {
            Ok((receiving, admin)) => Ok(Self { process, receiving, admin, log }),
            Err(error) => {
                process.kill()?;
                process.wait()?;
                Err(format!("the server did not start: {error}\n{}", tail(&log)).into())
            }
        }
    }

    /// What all its threads have used so far.
    pub(crate) fn cpu(&self) -> Outcome<Duration> {
        cpu_of(&self.process.id().to_string())
    }

    /// Asks it to stop, and says so if it does not end well.
    pub(crate) fn stop(mut self) -> Outcome<()> {
        kill_process(Pid::from_child(&self.process), Signal::TERM)?;
        let asked = Instant::now();
        loop {
            match self.process.try_wait()? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => {
                    return Err(format!("the server ended badly: {status}\n{}", self.tail()).into());
                }
                None if asked.elapsed() > STOPPED => {
                    return Err(format!("the server did not stop in {STOPPED:?}").into());
                }
                None => std::thread::sleep(Duration::from_millis(20)),
            }
        }
    }

    /// The end of its log.
    pub(crate) fn tail(&self) -> String {
        tail(&self.log)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // After `stop` both fail, as there is nothing left to kill.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// CPU time of a process with all its threads, by id or `self`.
pub(crate) fn cpu_of(process: &str) -> Outcome<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    let ticks = ticks(&stat).ok_or("/proc/PID/stat is not as expected")?;
    Ok(in_time(ticks))
}

/// CPU time that all processes of the machine have used.
pub(crate) fn cpu_of_machine() -> Outcome<Duration> {
    let stat = std::fs::read_to_string("/proc/stat")?;
    let fields = stat.lines().next().and_then(|line| line.strip_prefix("cpu "));
    let fields: Vec<u64> = fields
        .ok_or("/proc/stat is not as expected")?
        .split_whitespace()
        .map_while(|field| field.parse().ok())
        .collect();
    // user nice system idle iowait irq softirq steal; guests are counted in user already.
    let busy = fields.iter().enumerate().filter(|(n, _)| ![3, 4].contains(n) && *n < 8);
    Ok(in_time(busy.map(|(_, ticks)| ticks).sum()))
}

fn in_time(ticks: u64) -> Duration {
    Duration::from_secs(ticks)
        / u32::try_from(rustix::param::clock_ticks_per_second()).unwrap_or(100)
}

/// utime and stime. The name, in parentheses, may hold anything, so fields count from its end.
fn ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
}

/// Read to their end, so that the server never waits for a reader.
fn lines(stdout: Option<std::process::ChildStdout>) -> Receiver<String> {
    let (said, heard) = channel();
    std::thread::spawn(move || {
        for line in stdout.into_iter().flat_map(|out| BufReader::new(out).lines()) {
            let Ok(line) = line else { break };
            // Nobody listens any more once the server is ready.
            let _ = said.send(line);
        }
    });
    heard
}

fn ready(lines: &Receiver<String>, wants_admin: bool) -> Outcome<(SocketAddr, Option<SocketAddr>)> {
    let deadline = Instant::now() + READY;
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
                return Err(format!("it did not say where it listens within {READY:?}").into());
            }
            Err(RecvTimeoutError::Disconnected) => return Err("it ended".into()),
        }
    }
}

fn tail(log: &Path) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<_> = text.lines().rev().take(15).collect();
    lines.into_iter().rev().map(|line| format!("  {line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_fields_are_found_behind_any_name() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194560 1 0 0 0 250 30 0 0 20 0 3 0 9 1 1 1";
        assert_eq!(ticks(stat), Some(280));
        assert_eq!(ticks("7 (a"), None);
    }

    #[test]
    fn work_of_this_process_is_seen() {
        let before = cpu_of("self").unwrap();
        let (machine, started) = (cpu_of_machine().unwrap(), Instant::now());
        while started.elapsed() < Duration::from_millis(300) {
            std::hint::black_box(0);
        }
        assert!(cpu_of("self").unwrap() - before >= Duration::from_millis(50));
        assert!(cpu_of_machine().unwrap() > machine);
    }

    #[test]
    fn a_server_that_ends_at_once_is_named_with_its_last_words() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "echo no such key >&2; exit 2"]);
        let error = Child::start(command, folder.path(), false).err().unwrap().to_string();
        assert!(error.contains("no such key"), "{error}");
    }
}
