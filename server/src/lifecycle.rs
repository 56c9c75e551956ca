//! Signals: when to stop, when to read routes.yaml again.

use tokio::signal::unix::{SignalKind, signal};

use crate::hooks::Hooks;

/// Ends at SIGTERM or SIGINT.
pub async fn shutdown_signal() {
    let (Ok(mut term), Ok(mut int)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        tracing::error!("signals cannot be watched; only a kill will stop this process");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
}

/// Reads routes.yaml again at each SIGHUP. A file with a mistake changes nothing and is told.
pub async fn watch_reload(hooks: Hooks) {
    let Ok(mut hup) = signal(SignalKind::hangup()) else { return };
    while hup.recv().await.is_some() {
        hooks.reload();
    }
}
