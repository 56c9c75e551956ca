//! Logs on stderr: text for people, JSON where `HOOKWARD_LOG_FORMAT=json`. `RUST_LOG` sets the level.
//! A thread of its own writes them: whoever reads them may be slow, full or gone, and nobody who sends
//! or works waits for that. Lines that find no place any more are dropped.

use std::io::IsTerminal;

use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;

/// So many lines may wait to be written.
const LINES: usize = 16 * 1024;

/// Starts logging at `level` where the environment does not say otherwise. What is still to be
/// written is written when the guard is dropped.
pub(crate) fn start(level: &str) -> WorkerGuard {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    #[expect(clippy::disallowed_methods, reason = "logging starts before there is a configuration")]
    let json = std::env::var("HOOKWARD_LOG_FORMAT").is_ok_and(|v| v == "json");
    let (writer, guard) = NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(LINES)
        .thread_name("hookward-log")
        .finish(std::io::stderr());
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        // It would say so on stderr, and panic where that is closed.
        .log_internal_errors(false)
        .with_writer(writer);
    let colour = std::io::stderr().is_terminal();
    // Logging that someone set up before is theirs.
    let _ = if json { builder.json().try_init() } else { builder.with_ansi(colour).try_init() };
    guard
}
