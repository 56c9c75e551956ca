//! A built app, running: its router, its worker, its end.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use hookward_engine::Engine;
use hookward_engine::config::Diagnostics;
use hookward_engine::worker::Worker;
use tokio::sync::Semaphore;

use crate::app::{App, AppError};
use crate::ingress;
use crate::metrics::Metrics;

/// After the signal to stop, running steps have so long before they are given back.
const GRACE: Duration = Duration::from_secs(15);

/// Webhooks at work. A clone is the same hooks.
#[derive(Debug, Clone)]
pub struct Hooks(Arc<Shared>);

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) engine: Arc<Engine>,
    pub(crate) budget: Arc<Semaphore>,
    pub(crate) app: App,
    pub(crate) metrics: Metrics,
    pub(crate) last_reload: Mutex<Option<String>>,
    worker: Mutex<Option<Worker>>,
    upkeep: tokio::task::JoinHandle<()>,
    /// Handlers run here; kept until the end so that what is dropped with it is theirs alone.
    runtime: Mutex<Option<tokio::runtime::Runtime>>,
}

/// An app that forgets to stop its hooks must not panic for it: a runtime may not be dropped where
/// async code runs, unless it is told to go in the background.
impl Drop for Shared {
    fn drop(&mut self) {
        self.upkeep.abort();
        let runtime = self.runtime.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(runtime) = runtime {
            runtime.shutdown_background();
        }
    }
}

impl Hooks {
    pub(crate) fn start(
        engine: Arc<Engine>,
        app: App,
        metrics: Metrics,
        runtime: Option<tokio::runtime::Runtime>,
    ) -> Self {
        let config = engine.config();
        let budget = config.server.max_body_bytes_in_flight.min(Semaphore::MAX_PERMITS);
        let start = |r: &tokio::runtime::Runtime| Worker::start(engine.clone(), r.handle().clone());
        let worker = runtime.as_ref().map(start);
        let upkeep = tokio::spawn(metrics.clone().run_upkeep());
        Self(Arc::new(Shared {
            engine,
            budget: Arc::new(Semaphore::new(budget)),
            app,
            metrics,
            last_reload: Mutex::new(None),
            worker: Mutex::new(worker),
            upkeep,
            runtime: Mutex::new(runtime),
        }))
    }

    /// The sources' paths and `/health`, to be merged into an app's own router.
    pub fn router(&self) -> Router {
        ingress::router(self.0.clone())
    }

    /// A router that is nothing but the receiving port.
    pub fn standalone(&self) -> Router {
        ingress::standalone(self.0.clone())
    }

    /// The admin API.
    pub fn admin(&self) -> Router {
        crate::admin::router(self.0.clone())
    }

    /// The engine.
    pub fn engine(&self) -> &Arc<Engine> {
        &self.0.engine
    }

    /// Reads routes.yaml again and puts it in force, or leaves all as it was and says why.
    pub fn reload(&self) -> bool {
        let loaded = self.0.app.load().map_err(|e| e.to_string());
        let done = loaded.and_then(|loaded| {
            told(&loaded.warnings);
            self.0.engine.reload(loaded.config).map_err(|e| e.to_string())
        });
        if let Err(reason) = &done {
            tracing::error!(%reason, "routes.yaml was not reloaded; the old one stays in force");
        }
        let mut last = self.0.last_reload.lock().unwrap_or_else(PoisonError::into_inner);
        let ok = done.is_ok();
        *last = done.err();
        ok
    }

    /// From here on nothing is accepted; the health page says so.
    pub fn stop_accepting(&self) {
        self.0.engine.drain();
    }

    /// Claims no more jobs. What runs has 15 s to finish, then goes back.
    pub async fn stop_working(&self) {
        let worker = self.0.worker.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(worker) = worker {
            worker.stop(GRACE).await;
        }
    }

    /// Stops all of it, and closes the store.
    pub async fn stop(&self) {
        self.stop_accepting();
        self.stop_working().await;
        let closed = tokio::time::timeout(Duration::from_secs(5), self.0.engine.store().close());
        let _ = closed.await;
        let runtime = self.0.runtime.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(runtime) = runtime {
            runtime.shutdown_background();
        }
    }
}

/// Warnings of a configuration that is in force.
pub(crate) fn told(warnings: &Diagnostics) {
    if !warnings.is_empty() {
        tracing::warn!("{warnings}");
    }
}

/// The runtime of the handlers.
pub(crate) fn handler_runtime() -> Result<tokio::runtime::Runtime, AppError> {
    tokio::runtime::Builder::new_multi_thread()
        .thread_name("hookward-handler")
        .enable_all()
        .build()
        .map_err(|e| AppError::Runtime(e.to_string()))
}
