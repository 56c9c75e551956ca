//! Signals of the operating system: when to stop, when to reload routes.yaml. Both functions
//! install their handlers when they are called, not when they are first polled: a process that
//! reports that it is ready must not lose a signal that follows immediately.

use std::future::Future;

use tokio::signal::unix::{SignalKind, signal};

use crate::hooks::Hooks;
use crate::telemetry;

/// Returns a future that completes at SIGTERM or SIGINT, for the `shutdown` of
/// [`serve`](crate::serve).
///
/// If no signal handler can be installed, that is logged and the future never completes.
///
/// # Panics
/// Outside a tokio runtime.
pub fn shutdown_signal() -> impl Future<Output = ()> + Send + 'static {
    let signals = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    async move {
        let (Ok(mut terminate), Ok(mut interrupt)) = signals else {
            telemetry::shutdown_signals_unavailable();
            return std::future::pending().await;
        };
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    }
}

/// Reloads routes.yaml at each SIGHUP, until it is dropped. Spawn it:
/// `tokio::spawn(watch_reload(hooks.clone()))`.
///
/// A file with a mistake changes nothing; the error is logged, see [`Hooks::reload`].
///
/// # Panics
/// Outside a tokio runtime.
pub fn watch_reload(hooks: Hooks) -> impl Future<Output = ()> + Send + 'static {
    let hangups = signal(SignalKind::hangup());
    async move {
        let Ok(mut hangups) = hangups else { return };
        while hangups.recv().await.is_some() {
            hooks.reload();
        }
    }
}
