//! Memory, descriptors and processor time of a server's process, read from /proc.

use std::process::Command;
use std::time::Duration;

/// Returns the largest resident memory so far, in MiB.
pub(crate) fn peak_mib(pid: u32) -> u64 {
    status_mib(pid, "VmHWM:")
}

/// Returns the resident memory now, in MiB.
pub(crate) fn resident_mib(pid: u32) -> u64 {
    status_mib(pid, "VmRSS:")
}

fn status_mib(pid: u32, field: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text.lines().find_map(|l| l.strip_prefix(field)).unwrap_or_default();
    let kib = line.trim().trim_end_matches("kB").trim().parse::<u64>().unwrap_or(0);
    kib.div_ceil(1024)
}

/// Returns the number of open descriptors.
pub(crate) fn open_descriptors(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}

/// Returns the processor time so far, in steps of 10 ms.
pub(crate) fn cpu_time(pid: u32) -> Duration {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let after_name = text.rsplit(')').next().unwrap_or_default();
    let ticks = after_name.split_whitespace().skip(11).take(2);
    Duration::from_millis(ticks.filter_map(|t| t.parse::<u64>().ok()).sum::<u64>() * 10)
}

/// Returns the soft and the hard limit of open descriptors.
pub(crate) fn descriptor_limits(pid: u32) -> Option<(u64, u64)> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/limits")).ok()?;
    let line = text.lines().find_map(|l| l.strip_prefix("Max open files"))?;
    let mut numbers = line.split_whitespace().filter_map(|n| n.parse().ok());
    Some((numbers.next()?, numbers.next()?))
}

/// Sets the limits of open descriptors of a process, this one or a server.
pub(crate) fn set_descriptor_limits(pid: u32, soft: u64, hard: u64) -> Result<(), String> {
    let limit = format!("--nofile={soft}:{hard}");
    let output = Command::new("prlimit").args(["--pid", &pid.to_string(), &limit]).output();
    match output {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(e) => Err(format!("prlimit: {e}")),
    }
}
