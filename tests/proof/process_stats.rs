//! A server's process looked at from outside, through /proc: memory, descriptors, work; and honest
//! senders in between, whose answers are timed.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::sender::paid;

/// The most memory that the process has had resident, in MiB.
pub(crate) fn peak_mib(pid: u32) -> u64 {
    status(pid, "VmHWM:")
}

/// The memory that it has resident now, in MiB.
pub(crate) fn resident_mib(pid: u32) -> u64 {
    status(pid, "VmRSS:")
}

fn status(pid: u32, field: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text.lines().find_map(|l| l.strip_prefix(field)).unwrap_or_default();
    let kib = line.trim().trim_end_matches("kB").trim().parse::<u64>().unwrap_or(0);
    kib.div_ceil(1024)
}

/// Open descriptors.
pub(crate) fn descriptors(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}

/// Processor time so far: the clock counts hundredths of a second.
pub(crate) fn worked(pid: u32) -> Duration {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let after_name = text.rsplit(')').next().unwrap_or_default();
    let ticks = after_name.split_whitespace().skip(11).take(2);
    Duration::from_millis(ticks.filter_map(|t| t.parse::<u64>().ok()).sum::<u64>() * 10)
}

/// The soft and the hard limit of open descriptors.
pub(crate) fn file_limit(pid: u32) -> Option<(u64, u64)> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/limits")).ok()?;
    let line = text.lines().find_map(|l| l.strip_prefix("Max open files"))?;
    let mut numbers = line.split_whitespace().filter_map(|n| n.parse().ok());
    Some((numbers.next()?, numbers.next()?))
}

/// Lets a process, this one or a server, have so many descriptors.
pub(crate) fn limit_files(pid: u32, soft: u64, hard: u64) -> Result<(), String> {
    let limit = format!("--nofile={soft}:{hard}");
    let output = Command::new("prlimit").args(["--pid", &pid.to_string(), &limit]).output();
    match output {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(e) => Err(format!("prlimit: {e}")),
    }
}

/// An honest sender beside the hostile ones: an event every 20 ms, each on a connection of its own.
pub(crate) struct Honest {
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<Result<Spans, String>>,
}

impl Honest {
    pub(crate) fn start(addr: &str, name: &str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (addr, name, stopped) = (addr.to_owned(), name.to_owned(), stop.clone());
        let thread = std::thread::spawn(move || {
            let mut spans = Spans::default();
            for n in 0.. {
                if stopped.load(Ordering::Relaxed) {
                    break;
                }
                let signed = paid(&format!("evt_{name}_{n}"));
                let start = Instant::now();
                let answer =
                    signed.try_post(&addr).map_err(|e| format!("an honest sender: {e}"))?;
                match answer.status {
                    200 => spans.0.push(start.elapsed()),
                    // The disk may be slow under others' load; such senders come back.
                    503 if answer.text().contains("STORE_UNAVAILABLE") => spans.1 += 1,
                    status => {
                        return Err(format!(
                            "an honest sender was told {status}: {}",
                            answer.text()
                        ));
                    }
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            Ok(spans)
        });
        Self { stop, thread }
    }

    /// How long each of its answers took, in order of length.
    pub(crate) fn stop(self) -> Result<Spans, String> {
        self.stop.store(true, Ordering::Relaxed);
        let mut spans =
            self.thread.join().map_err(|_| "an honest sender panicked".to_owned())??;
        spans.0.sort_unstable();
        let (served, sent_away) = (spans.0.len(), spans.1);
        if served < sent_away * 10 {
            return Err(format!("{sent_away} of {} honest senders sent away", served + sent_away));
        }
        Ok(spans)
    }
}

/// Answers with 200 in order of how long they took, and how many were told that the store is slow.
#[derive(Debug, Clone, Default)]
pub(crate) struct Spans(pub(crate) Vec<Duration>, pub(crate) usize);

impl Spans {
    pub(crate) fn at(&self, percent: usize) -> Duration {
        let last = self.0.len().saturating_sub(1);
        self.0.get((self.0.len() * percent / 100).min(last)).copied().unwrap_or_default()
    }
}

impl std::fmt::Display for Spans {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (n, half, most, all) = (self.0.len(), self.at(50), self.at(99), self.at(100));
        write!(f, "{n} honest answers, p50 {half:.1?}, p99 {most:.1?}, slowest {all:.1?}")?;
        if self.1 > 0 { write!(f, ", {} told that the store is slow", self.1) } else { Ok(()) }
    }
}
