//! The server as a child process in its own folder.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::http::{self, Answer};

pub(crate) const HOOKWARD: &str = env!("CARGO_BIN_EXE_hookward");

/// Sources that most tests use.
pub(crate) const SOURCES: &str = r#"
sources:
  stripe: { secrets: ["whsec_e2e_stripe"] }
  github: { secrets: ["e2e-github"] }
"#;

/// A temporary folder with a routes.yaml, in which a server or command runs.
#[derive(Debug)]
pub(crate) struct ServerDir(pub TempDir);

impl ServerDir {
    pub(crate) fn new(routes: &str) -> Self {
        let dir = Self(tempfile::tempdir().unwrap());
        dir.write("routes.yaml", routes);
        dir
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    /// The complete lines of a file that a `file` step wrote, as JSON.
    pub(crate) fn lines(&self, name: &str) -> Vec<Value> {
        let text = std::fs::read_to_string(self.path(name)).unwrap_or_default();
        text.lines().filter_map(|l| serde_json::from_str(l).ok()).collect()
    }

    pub(crate) fn start(&self) -> Server {
        Server::start(self.0.path(), &[])
    }

    /// Runs `hookward` in this folder.
    pub(crate) fn run(&self, args: &[&str]) -> Output {
        Command::new(HOOKWARD).args(args).current_dir(self.0.path()).output().unwrap()
    }
}

/// A running server, which is killed when dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) addr: String,
    pub(crate) admin: String,
    pub(crate) log: std::sync::Arc<std::sync::Mutex<String>>,
}

impl Server {
    pub(crate) fn start(folder: &Path, env: &[(&str, &str)]) -> Self {
        Self::try_start(folder, env).unwrap_or_else(|log| panic!("did not start:\n{log}"))
    }

    /// Starts the server with this stderr.
    pub(crate) fn start_with_stderr(folder: &Path, stderr: Stdio) -> Self {
        let env = [("RUST_LOG", "debug")];
        Self::spawn(folder, &env, stderr).unwrap_or_else(|log| panic!("did not start:\n{log}"))
    }

    pub(crate) fn try_start(folder: &Path, env: &[(&str, &str)]) -> Result<Self, String> {
        Self::spawn(folder, env, Stdio::piped())
    }

    /// Starts the server with this address of the receiving port.
    pub(crate) fn start_on(folder: &Path, listen: &str) -> Self {
        Self::spawn_on(listen, folder, &[], Stdio::piped())
            .unwrap_or_else(|log| panic!("did not start:\n{log}"))
    }

    fn spawn(folder: &Path, env: &[(&str, &str)], stderr: Stdio) -> Result<Self, String> {
        Self::spawn_on("127.0.0.1:0", folder, env, stderr)
    }

    fn spawn_on(
        listen: &str,
        folder: &Path,
        env: &[(&str, &str)],
        stderr: Stdio,
    ) -> Result<Self, String> {
        let mut child = Command::new(HOOKWARD)
            .args(["serve", "routes.yaml", "--listen", listen, "--admin", "127.0.0.1:0"])
            .current_dir(folder)
            .envs(env.iter().copied())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .unwrap();
        let log = std::sync::Arc::new(std::sync::Mutex::new(String::new()));
        let (sink, stderr) = (log.clone(), child.stderr.take());
        let reader = std::thread::spawn(move || {
            let Some(stderr) = stderr else { return };
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let mut log = sink.lock().unwrap();
                log.push_str(&line);
                log.push('\n');
            }
        });
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut announced_addr = |start: &str| {
            let mut line = String::new();
            stdout.read_line(&mut line).unwrap();
            let (scheme, addr) = line.trim().strip_prefix(start)?.split_once("://")?;
            matches!(scheme, "http" | "https").then(|| addr.to_owned())
        };
        let ready = announced_addr("listening on ").zip(announced_addr("admin on "));
        let Some((addr, admin)) = ready else {
            let _ = child.kill();
            let _ = child.wait();
            let _ = reader.join();
            return Err(log.lock().unwrap().clone());
        };
        std::thread::spawn(move || {
            let mut rest = String::new();
            let _ = stdout.read_to_string(&mut rest);
        });
        Ok(Self { child, addr, admin, log })
    }

    pub(crate) fn get(&self, target: &str) -> Answer {
        http::send(&self.addr, "GET", target, &[], b"").unwrap()
    }

    /// Calls the admin port.
    pub(crate) fn admin(&self, method: &str, target: &str, body: &str) -> Answer {
        let headers = [("content-type".to_owned(), "application/json".to_owned())];
        http::send(&self.admin, method, target, &headers, body.as_bytes()).unwrap()
    }

    pub(crate) fn events(&self, query: &str) -> Vec<Value> {
        let answer = self.admin("GET", &format!("/api/v1/events?limit=500&{query}"), "");
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["events"].as_array().unwrap().clone()
    }

    pub(crate) fn metric(&self, start: &str) -> f64 {
        let text = self.admin("GET", "/metrics", "").text();
        let line = text.lines().find(|l| l.starts_with(start));
        line.and_then(|l| l.rsplit(' ').next()?.parse().ok()).unwrap_or(0.0)
    }

    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = self.pid().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    }

    /// Sends SIGTERM and returns the exit code, within 30 s.
    pub(crate) fn terminate(self) -> Option<i32> {
        self.signal("-TERM");
        self.exit_code()
    }

    /// Waits until the process ends by itself, within 30 s, and returns its exit code.
    pub(crate) fn exit_code(mut self) -> Option<i32> {
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(30) {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("still there after 30 s:\n{}", self.log());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until a condition holds.
#[track_caller]
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(30) {
        if holds() {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("not within 30 s: {what}");
}
