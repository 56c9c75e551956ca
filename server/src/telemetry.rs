//! Every log line of the server. Those of requests and jobs are in the engine's telemetry.

use std::fmt::Display;
use std::net::IpAddr;
use std::net::SocketAddr;

use hookward_core::store::StoreError;
use hookward_engine::config::Diagnostics;

/// Warnings of a configuration that is about to be in force. Logs nothing if the list is empty.
pub(crate) fn config_warnings(warnings: &Diagnostics) {
    if !warnings.is_empty() {
        tracing::warn!("configuration warnings\n{warnings}");
    }
}

/// The new routes.yaml has a mistake, or a change that needs a restart.
pub(crate) fn reload_failed(reason: &str) {
    tracing::error!(reason, "reload failed: the previous configuration stays in force");
}

/// The store could not tell where the retention clock was when the last process ended.
pub(crate) fn retention_clock_unread(error: &StoreError) {
    tracing::error!(
        %error,
        "retention clock not read from the store: nothing expires until it can be read"
    );
}

/// The store loses its events when the process ends, as `memory:` does.
pub(crate) fn store_not_durable(store: &str) {
    tracing::warn!(store, "store not durable: its events are lost at a restart");
}

/// `accept(2)` failed, mostly because the process has no free file descriptor.
pub(crate) fn accept_failed(reason: &dyn Display) {
    tracing::warn!(%reason, "connection not accepted");
}

/// A connection ended in the middle of a request or an answer.
pub(crate) fn connection_failed(reason: &dyn Display) {
    tracing::debug!(%reason, "connection failed");
}

/// A peer did not complete its TLS handshake.
pub(crate) fn tls_handshake_failed(peer: SocketAddr, reason: &dyn Display) {
    tracing::debug!(%peer, %reason, "TLS handshake failed");
}

/// The limit of open files allows fewer connections than `server.max_connections`.
pub(crate) fn connections_limited(wanted: usize, allowed: usize) {
    tracing::warn!(
        wanted,
        allowed,
        "connections limited by the number of open files: raise it (ulimit -n)"
    );
}

/// A call of the admin port had a wrong token, the `wrong`-th one of its address within a minute.
pub(crate) fn admin_token_rejected(client: Option<IpAddr>, wrong: u32) {
    let client = client.map(tracing::field::display);
    tracing::warn!(client, wrong, "admin token rejected");
}

/// No handler for SIGTERM or SIGINT could be installed.
pub(crate) fn shutdown_signals_unavailable() {
    tracing::error!("shutdown signals unavailable: only SIGKILL stops this process");
}

/// A sender's key document could not be fetched. The URL is not logged: its path may hold an id.
pub(crate) fn key_fetch_failed(host: &str, reason: &str) {
    tracing::warn!(host, reason, "sender's keys not fetched");
}
