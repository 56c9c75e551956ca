//! The state of a built app that the receiving port, the admin port and [`Hooks`](crate::Hooks)
//! share. Routers hold it too, so an app that keeps a router and drops its hooks keeps working.

use std::sync::{Arc, Mutex, PoisonError};

use hookward_engine::Engine;
use hookward_engine::worker::Worker;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use crate::admin::token_attempts::TokenAttempts;
use crate::body_memory::BodyMemory;
use crate::loader::Loader;
use crate::metrics::Metrics;

/// One per built app, behind an `Arc`.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) engine: Arc<Engine>,
    pub(crate) loader: Loader,
    pub(crate) metrics: Metrics,
    pub(crate) body_memory: Arc<BodyMemory>,
    pub(crate) token_attempts: TokenAttempts,
    last_reload_error: Mutex<Option<String>>,
    worker: Mutex<Option<Worker>>,
    metrics_upkeep: JoinHandle<()>,
    /// The runtime of the handlers. It is separate, so that a handler that blocks its thread delays
    /// no sender, and it lives until the end, because steps still run while the worker drains.
    handler_runtime: Mutex<Option<Runtime>>,
}

impl Shared {
    /// Starts the upkeep of metrics and, if there is a runtime for handlers, the worker.
    pub(crate) fn start(
        engine: Arc<Engine>,
        loader: Loader,
        metrics: Metrics,
        handler_runtime: Option<Runtime>,
    ) -> Self {
        let config = engine.config();
        let body_memory = BodyMemory::new(
            config.server.max_body_bytes_in_flight,
            config.server.small_body_reserve_bytes(),
        );
        drop(config);
        let worker = handler_runtime
            .as_ref()
            .map(|runtime| Worker::start(engine.clone(), runtime.handle().clone()));
        let metrics_upkeep = tokio::spawn(metrics.clone().run_upkeep());
        Self {
            engine,
            loader,
            metrics,
            body_memory,
            token_attempts: TokenAttempts::default(),
            last_reload_error: Mutex::new(None),
            worker: Mutex::new(worker),
            metrics_upkeep,
            handler_runtime: Mutex::new(handler_runtime),
        }
    }

    /// Why the last reload failed; `None` after one that succeeded.
    pub(crate) fn last_reload_error(&self) -> Option<String> {
        self.last_reload_error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_last_reload_error(&self, error: Option<String>) {
        *self.last_reload_error.lock().unwrap_or_else(PoisonError::into_inner) = error;
    }

    /// Takes the worker in order to stop it; `None` if it was never started or another call took
    /// it.
    pub(crate) fn take_worker(&self) -> Option<Worker> {
        self.worker.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Shuts the handlers' runtime down without waiting for handlers that block.
    pub(crate) fn shut_down_handler_runtime(&self) {
        let runtime = self.handler_runtime.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(runtime) = runtime {
            runtime.shutdown_background();
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.metrics_upkeep.abort();
        // An app that forgets `stop` drops this in async code, where dropping a runtime panics
        // unless it is shut down in the background.
        self.shut_down_handler_runtime();
    }
}
