//! The variants that are measured: three servers, each started as a new process with an empty
//! store.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::BenchResult;
use crate::child::Child;
use crate::events::SECRET;

/// How long jobs may take after the last event is accepted.
const JOBS_TIMEOUT: Duration = Duration::from_secs(60);

/// A server to measure: the baseline, or Hookward in one of two configurations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Variant {
    /// An axum handler that verifies and stores, nothing else.
    Bare,
    /// Hookward with no route for the event: everything up to the answer.
    Unrouted,
    /// Hookward with one route to a `noop` step: everything until the job is settled.
    Noop,
}

impl Variant {
    pub(crate) const ALL: [Self; 3] = [Self::Bare, Self::Unrouted, Self::Noop];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare axum",
            Self::Unrouted => "unrouted",
            Self::Noop => "noop",
        }
    }

    /// Whether its events have jobs, which a run waits for.
    pub(crate) fn runs_jobs(self) -> bool {
        self == Self::Noop
    }

    /// Starts it in an empty folder.
    pub(crate) fn start(self, folder: &Path) -> BenchResult<Child> {
        if self == Self::Bare {
            let mut command = Command::new(std::env::current_exe()?);
            command.arg("bare").arg(folder.join("bench.db"));
            return Child::start(command, folder, false);
        }
        std::fs::write(folder.join("routes.yaml"), self.routes())?;
        let mut command = Command::new(hookward_path()?);
        command.args(["serve", "routes.yaml", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
        Child::start(command, folder, true)
    }

    fn routes(self) -> String {
        let routes = match self {
            Self::Noop => {
                "routes:\n  - name: everything\n    events: github/**\n    chain: [noop]\n    \
                 concurrency: 256\n"
            }
            Self::Bare | Self::Unrouted => "",
        };
        format!("store: sqlite:bench.db\nsources:\n  github:\n    secrets: [{SECRET}]\n{routes}")
    }
}

/// The path of the `hookward` command that was built with the same profile: beside this program.
pub(crate) fn hookward_path() -> BenchResult<PathBuf> {
    let path = std::env::current_exe()?.with_file_name("hookward");
    if path.is_file() {
        return Ok(path);
    }
    Err(format!("{} is missing: run `cargo build --release` first", path.display()).into())
}

/// Waits until `accepted` jobs are done. A job that ends otherwise is an error.
pub(crate) async fn wait_until_done(child: &Child, accepted: u64) -> BenchResult<()> {
    let started = Instant::now();
    loop {
        let jobs = JobCounts::parse(&metrics(child).await?);
        if jobs.not_done > 0 {
            return Err(format!("{} attempts did not end as done", jobs.not_done).into());
        }
        if jobs.done >= accepted {
            return Ok(());
        }
        if started.elapsed() > JOBS_TIMEOUT {
            let late = format!("{} of {accepted} jobs done after {JOBS_TIMEOUT:?}", jobs.done);
            return Err(late.into());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn metrics(child: &Child) -> BenchResult<String> {
    let address = child.admin.ok_or("no admin port")?;
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET /metrics HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    let read = stream.read_to_string(&mut answer);
    tokio::time::timeout(Duration::from_secs(10), read).await??;
    if answer.starts_with("HTTP/1.1 200") {
        return Ok(answer);
    }
    Err(format!("GET /metrics: {}", answer.lines().next().unwrap_or("no answer")).into())
}

/// The counts of `hookward_jobs_total`: attempts that ended as done, and all others.
#[derive(Debug, Default, PartialEq, Eq)]
struct JobCounts {
    done: u64,
    not_done: u64,
}

impl JobCounts {
    fn parse(metrics: &str) -> Self {
        let mut jobs = Self::default();
        for line in metrics.lines().filter(|line| line.starts_with("hookward_jobs_total{")) {
            let count = line.rsplit(' ').next().and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
            if line.contains(r#"outcome="done""#) {
                jobs.done += count;
            } else {
                jobs.not_done += count;
            }
        }
        jobs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_that_are_done_are_counted_apart_from_all_others() {
        let text = "# TYPE hookward_jobs_total counter\n\
                    hookward_jobs_total{route=\"a\",outcome=\"done\"} 40\n\
                    hookward_jobs_total{outcome=\"done\",route=\"b\"} 2\n\
                    hookward_jobs_total{route=\"a\",outcome=\"dead\"} 3\n\
                    hookward_step_seconds_count{route=\"a\"} 9\n";
        assert_eq!(JobCounts::parse(text), JobCounts { done: 42, not_done: 3 });
    }
}
