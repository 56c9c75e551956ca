//! Signals: when to stop, when to read routes.yaml again. Both watch from the moment they are called,
//! not from their first poll: whoever says that it is ready must already hear.

use std::future::Future;

use tokio::signal::unix::{SignalKind, signal};

use crate::hooks::Hooks;

/// Ends at SIGTERM or SIGINT.
pub fn shutdown_signal() -> impl Future<Output = ()> + Send + 'static {
    let watched = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    async move {
        let (Ok(mut term), Ok(mut int)) = watched else {
            tracing::error!("signals cannot be watched; only a kill will stop this process");
            return std::future::pending().await;
        };
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
    }
}

/// Reads routes.yaml again at each SIGHUP. A file with a mistake changes nothing and is told.
pub fn watch_reload(hooks: Hooks) -> impl Future<Output = ()> + Send + 'static {
    let watched = signal(SignalKind::hangup());
    async move {
        let Ok(mut hup) = watched else { return };
        while hup.recv().await.is_some() {
            hooks.reload();
        }
    }
}
