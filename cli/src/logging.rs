//! Logs on stderr: text for people, JSON where `HOOKWARD_LOG_FORMAT=json`. `RUST_LOG` sets the level.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Starts logging at `level` where the environment does not say otherwise.
pub(crate) fn start(level: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    #[expect(clippy::disallowed_methods, reason = "logging starts before there is a configuration")]
    let json = std::env::var("HOOKWARD_LOG_FORMAT").is_ok_and(|v| v == "json");
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let colour = std::io::stderr().is_terminal();
    // Logging that someone set up before is theirs.
    let _ = if json { builder.json().try_init() } else { builder.with_ansi(colour).try_init() };
}
