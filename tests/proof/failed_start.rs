//! Starts a server that is expected to fail, and reads its exit code and its message. Used by the
//! suites `disk` and `flips`.

use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::server::HOOKWARD;

/// A start that fails ends within this time.
const EXIT_TIMEOUT: Duration = Duration::from_secs(10);

/// The end of a server that did not start.
pub(crate) struct FailedStart {
    pub(crate) code: Option<i32>,
    /// Standard error.
    pub(crate) message: String,
}

/// Starts a server in `folder`, as the given user or this one, and waits for its end. A server that
/// starts is an error.
pub(crate) fn start_failing(folder: &Path, user: Option<u32>) -> Result<FailedStart, String> {
    let binary = folder.join("hookward");
    let mut command = match user {
        None => Command::new(HOOKWARD),
        Some(user) => {
            // The other user may not read the build folder.
            if !binary.exists() && std::fs::hard_link(HOOKWARD, &binary).is_err() {
                std::fs::copy(HOOKWARD, &binary).map_err(|e| e.to_string())?;
            }
            let mut command = Command::new("setpriv");
            let user = user.to_string();
            command.args(["--reuid", &user, "--regid", &user, "--clear-groups"]).arg(&binary);
            command
        }
    };
    let args = ["serve", "routes.yaml", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
    let child = command
        .args(args)
        .current_dir(folder)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| e.to_string())?;
    let (code, message) = wait_for_exit(child)?;
    Ok(FailedStart { code, message })
}

fn wait_for_exit(mut child: Child) -> Result<(Option<i32>, String), String> {
    let start = Instant::now();
    while start.elapsed() < EXIT_TIMEOUT {
        if let Some(status) = child.try_wait().map_err(|e| e.to_string())? {
            let mut message = String::new();
            if let Some(mut stderr) = child.stderr.take() {
                let _ = stderr.read_to_string(&mut message);
            }
            return Ok((status.code(), message));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let _ = child.kill();
    let _ = child.wait();
    Err(format!("the server was expected to fail and still runs after {EXIT_TIMEOUT:?}"))
}
