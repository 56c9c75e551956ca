//! What is measured: three ways to run a server, each in a new process with an empty store.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::Outcome;
use crate::child::Child;
use crate::events::SECRET;

/// How long jobs may still run once everything is accepted.
const WORKED_OFF: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Variant {
    /// An axum handler that verifies and stores, nothing else.
    Bare,
    /// Hookward with no route for the event: the way until the answer.
    Unrouted,
    /// Hookward with one route to a `noop` step: the way until the job is done.
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

    /// Its jobs are waited for.
    pub(crate) fn works(self) -> bool {
        self == Self::Noop
    }

    /// Starts it in `folder`, which is empty.
    pub(crate) fn start(self, folder: &Path) -> Outcome<Child> {
        if self == Self::Bare {
            let mut command = Command::new(std::env::current_exe()?);
            command.arg("bare").arg(folder.join("bench.db"));
            return Child::start(command, folder, false);
        }
        std::fs::write(folder.join("routes.yaml"), self.routes())?;
        let mut command = Command::new(hookward()?);
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

/// The server that was built by the same command and lies beside this program.
pub(crate) fn hookward() -> Outcome<PathBuf> {
    let path = std::env::current_exe()?.with_file_name("hookward");
    if path.is_file() {
        return Ok(path);
    }
    Err(format!("{} is missing: run `cargo build --release` first", path.display()).into())
}

/// Waits until as many jobs are done as events were accepted.
pub(crate) async fn worked_off(child: &Child, accepted: u64) -> Outcome<()> {
    let started = Instant::now();
    loop {
        let jobs = Jobs::read(&metrics(child).await?);
        if jobs.ended_badly > 0 {
            return Err(format!("{} jobs did not end as done", jobs.ended_badly).into());
        }
        if jobs.done >= accepted {
            return Ok(());
        }
        if started.elapsed() > WORKED_OFF {
            let late = format!("{} of {accepted} jobs done after {WORKED_OFF:?}", jobs.done);
            return Err(late.into());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn metrics(child: &Child) -> Outcome<String> {
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

/// Attempts by what followed.
#[derive(Debug, Default, PartialEq, Eq)]
struct Jobs {
    done: u64,
    ended_badly: u64,
}

impl Jobs {
    fn read(metrics: &str) -> Self {
        let mut jobs = Self::default();
        for line in metrics.lines().filter(|line| line.starts_with("hookward_jobs_total{")) {
            let count = line.rsplit(' ').next().and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
            if line.contains(r#"outcome="done""#) {
                jobs.done += count;
            } else {
                jobs.ended_badly += count;
            }
        }
        jobs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn done_jobs_are_counted_apart_from_all_others() {
        let text = "# TYPE hookward_jobs_total counter\n\
                    hookward_jobs_total{route=\"a\",outcome=\"done\"} 40\n\
                    hookward_jobs_total{outcome=\"done\",route=\"b\"} 2\n\
                    hookward_jobs_total{route=\"a\",outcome=\"dead\"} 3\n\
                    hookward_step_seconds_count{route=\"a\"} 9\n";
        assert_eq!(Jobs::read(text), Jobs { done: 42, ended_badly: 3 });
    }
}
