//! A server process that may fail. It distinguishes a process that never becomes ready, one that
//! ends by itself, and one that hangs.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::http;
use crate::server::HOOKWARD;

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    Code(i32),
    Killed,
    /// It did not end in time and was killed.
    Hung,
}

/// A running server.
pub(crate) struct Process {
    child: Child,
    log: Arc<Mutex<String>>,
    reader: Option<std::thread::JoinHandle<()>>,
    /// Addresses of the receiving port and the admin port, if the server became ready.
    pub(crate) ready: Option<(String, String)>,
}

impl Process {
    /// Starts a server and waits until it is ready, has ended, or `timeout` is over.
    pub(crate) fn start(folder: &Path, env: &[(String, String)], timeout: Duration) -> Self {
        let mut child = Command::new(HOOKWARD)
            .args(["serve", "routes.yaml", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
            .current_dir(folder)
            .envs(env.iter().map(|(name, value)| (name, value)))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let (copy, mut stderr) = (log.clone(), child.stderr.take().unwrap());
        let reader = std::thread::spawn(move || {
            let mut chunk = [0; 4096];
            while let Ok(n @ 1..) = stderr.read(&mut chunk) {
                copy.lock().unwrap().push_str(&String::from_utf8_lossy(&chunk[..n]));
            }
        });
        let (lines, received) = mpsc::channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let _ = lines.send(line);
            }
        });
        let until = Instant::now() + timeout;
        let next = |start: &str| {
            let line =
                received.recv_timeout(until.saturating_duration_since(Instant::now())).ok()?;
            line.strip_prefix(start).map(str::to_owned)
        };
        let ready = next("listening on http://").zip(next("admin on http://"));
        Self { child, log, reader: Some(reader), ready }
    }

    pub(crate) fn is_alive(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Gets a page of the admin port, `None` if no answer comes.
    pub(crate) fn admin(&self, target: &str) -> Option<Value> {
        let (_, admin) = self.ready.as_ref()?;
        let answer = http::send(admin, "GET", target, &[], b"").ok()?;
        serde_json::from_slice(&answer.body).ok()
    }

    /// Waits until no job is open, the process has ended, or `timeout` is over. Returns whether no
    /// job is open.
    pub(crate) fn settle(&mut self, timeout: Duration) -> bool {
        let until = Instant::now() + timeout;
        while self.is_alive() && Instant::now() < until {
            if self.admin("/api/v1/stats").is_some_and(|page| page["open"] == 0) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(15));
        }
        false
    }

    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Returns whether the process ends by itself within `timeout`.
    pub(crate) fn ends_within(&mut self, timeout: Duration) -> bool {
        let until = Instant::now() + timeout;
        while self.is_alive() {
            if Instant::now() > until {
                return false;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        true
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let _ = Command::new("kill").args([name, &pid]).stderr(Stdio::null()).status();
    }

    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
    }

    /// Waits for the end of the process, and returns it with the log. Kills the process after
    /// `timeout`.
    pub(crate) fn end(mut self, timeout: Duration) -> (Ended, String) {
        let until = Instant::now() + timeout;
        let ended = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break match status.signal() {
                    Some(_) => Ended::Killed,
                    None => Ended::Code(status.code().unwrap_or(-1)),
                };
            }
            if Instant::now() > until {
                self.kill();
                let _ = self.child.wait();
                break Ended::Hung;
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
        (ended, self.log())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
