//! Logs on stderr: text, or JSON with `HOOKWARD_LOG_FORMAT=json`. `RUST_LOG` sets the level. A separate
//! thread writes them, so that a slow, full or closed stderr delays no request and no job. Lines beyond the
//! buffer are dropped.

use std::io::IsTerminal;

use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;

/// Log lines that may wait to be written; further lines are dropped.
const MAX_BUFFERED_LINES: usize = 16 * 1024;

/// Starts logging at `level` unless `RUST_LOG` is set. Dropping the guard writes the remaining lines.
pub(crate) fn start(level: &str) -> WorkerGuard {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    #[expect(clippy::disallowed_methods, reason = "logging starts before there is a configuration")]
    let json = std::env::var("HOOKWARD_LOG_FORMAT").is_ok_and(|v| v == "json");
    let (writer, guard) = NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(MAX_BUFFERED_LINES)
        .thread_name("hookward-log")
        .finish(std::io::stderr());
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        // The subscriber would report its own errors on stderr, and panic if that is closed.
        .log_internal_errors(false)
        .with_writer(writer);
    let colour = std::io::stderr().is_terminal();
    // A subscriber that was installed before stays in place.
    let _ = if json { builder.json().try_init() } else { builder.with_ansi(colour).try_init() };
    guard
}
