//! A built app: its routers, its reload, its shutdown.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hookward_core::Store;
use hookward_engine::Engine;

use crate::shared::Shared;
use crate::{admin, ingress, telemetry};

/// How long running steps may take to finish after the worker stops claiming; a job whose step is
/// still running then is released to the store.
const WORKER_DRAIN_TIMEOUT: Duration = Duration::from_secs(15);

/// How long the store may take to close. Everything acknowledged is durable already, so a store
/// that hangs must not keep the process alive.
const STORE_CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// A running app: an open store, a worker on it, and the routers that serve it.
///
/// Made by [`App::build`](crate::App::build). Clones are handles to the same app. Serve it with
/// [`serve`](crate::serve)`(…).with(hooks)`, which also stops it; another server calls
/// [`Hooks::stop`] before it exits.
///
/// ```no_run
/// # async fn example(hooks: hookward::Hooks) -> std::io::Result<()> {
/// use std::future::IntoFuture;
///
/// // The admin port has a listener of its own.
/// let admin = hookward::bind(hooks.admin_addr())?;
/// tokio::spawn(hookward::serve(admin, hooks.admin(), std::future::pending()).into_future());
///
/// let app = axum::Router::new().merge(hooks.router());
/// let listener = hookward::bind(hooks.listen_addr())?;
/// hookward::serve(listener, app, hookward::shutdown_signal()).with(hooks).await
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Hooks(Arc<Shared>);

impl Hooks {
    pub(crate) fn new(shared: Shared) -> Self {
        Self(Arc::new(shared))
    }

    /// The routes of the receiving port, to be merged into an app's own router: `/health`,
    /// `/webhooks/…`, and each other `path:` that a source has at the time of the call.
    ///
    /// # Panics
    /// `Router::merge` panics if the app's router has one of these paths already.
    pub fn router(&self) -> Router {
        ingress::router(self.0.clone())
    }

    /// The receiving port as a whole: every path but `/health` is looked up among the sources, so
    /// that paths which a reload adds are found, and an unknown path gets 404 `UNKNOWN_SOURCE`.
    pub fn standalone(&self) -> Router {
        ingress::standalone(self.0.clone())
    }

    /// The admin port: probes, metrics, events, replay. Serve it on a listener of its own, on
    /// loopback unless `admin.token` is set.
    pub fn admin(&self) -> Router {
        admin::router(self.0.clone())
    }

    /// The address of `server.listen` in routes.yaml.
    pub fn listen_addr(&self) -> SocketAddr {
        self.0.engine.config().server.listen
    }

    /// The address of `admin.listen` in routes.yaml.
    pub fn admin_addr(&self) -> SocketAddr {
        self.0.engine.config().admin.listen
    }

    /// The store, for reading events from code: `hooks.store().browse()`. A call that panics in the
    /// store returns an error here.
    pub fn store(&self) -> &Arc<dyn Store> {
        self.0.engine.store()
    }

    /// Reads routes.yaml again and puts it in force; returns whether it succeeded.
    ///
    /// A file with a mistake, or with a change that needs a restart (ports, store), changes
    /// nothing: the error is logged and shown as `lastReloadError` by the admin port.
    pub fn reload(&self) -> bool {
        let reloaded = self.0.loader.load().map_err(|e| e.to_string()).and_then(|loaded| {
            telemetry::config_warnings(&loaded.warnings);
            self.0.engine.reload(loaded.config).map_err(|e| e.to_string())
        });
        if let Err(reason) = &reloaded {
            telemetry::reload_failed(reason);
        }
        let succeeded = reloaded.is_ok();
        self.0.set_last_reload_error(reloaded.err());
        succeeded
    }

    /// Completes when the store has failed in a way that only a restart can repair. No delivery is
    /// accepted then; stop the process, and a new one recovers what the store holds.
    ///
    /// ```no_run
    /// # async fn example(listener: tokio::net::TcpListener, hooks: hookward::Hooks) -> std::io::Result<()> {
    /// let (signal, running) = (hookward::shutdown_signal(), hooks.clone());
    /// let shutdown = async move {
    ///     tokio::select! {
    ///         () = signal => {}
    ///         () = running.store_failed() => {}
    ///     }
    /// };
    /// hookward::serve(listener, hooks.standalone(), shutdown).with(hooks).await
    /// # }
    /// ```
    pub async fn store_failed(&self) {
        self.0.engine.until_failed().await;
    }

    /// Rejects every further delivery with 503 `DRAINING`; `/health` and `/readyz` answer 503 too.
    pub fn stop_accepting(&self) {
        self.0.engine.drain();
    }

    /// Stops claiming jobs. Running steps have 15 s to finish; then their jobs are released to the
    /// store. Returns immediately if the worker is stopped already or was never started.
    pub async fn stop_working(&self) {
        if let Some(worker) = self.0.take_worker() {
            worker.stop(WORKER_DRAIN_TIMEOUT).await;
        }
    }

    /// Stops accepting and working, then closes the store. Later calls do nothing.
    pub async fn stop(&self) {
        // In this order: a delivery that is accepted after the worker has stopped would only wait,
        // and the worker settles its last jobs in a store that is still open.
        self.stop_accepting();
        self.stop_working().await;
        let closed = tokio::time::timeout(STORE_CLOSE_TIMEOUT, self.0.engine.store().close());
        let _ = closed.await;
        self.0.shut_down_handler_runtime();
    }

    /// Reached by other crates through `hookward::internal::engine`.
    pub(crate) fn engine(&self) -> &Arc<Engine> {
        &self.0.engine
    }
}
