//! The engine: the configuration in force, the ingest pipeline, and what the worker and operators
//! need beside them. One per process.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use hookward_core::crypto::tokens_equal;
use hookward_core::keys::{KeySource, NoKeys};
use hookward_core::store::StoreError;
use hookward_core::{Clock, EventId, Head, Reply, Store, Timestamp};
use tokio::sync::Notify;

use crate::catch_panics::CatchPanics;
use crate::compiled::{CompiledConfig, CompiledServer};
use crate::ingest::{GenerateEventId, Ingest, ReadBody, Rejection};
use crate::retention_clock::RetentionClock;
use crate::run_state::RunState;
use crate::telemetry;

/// How long a health check waits for the store.
const STORE_CHECK_TIMEOUT: Duration = Duration::from_secs(2);

/// Receives webhooks, and holds what the stages before and after the answer share: configuration,
/// store, clock and run state. Servers call [`Engine::receive`], a
/// [`Worker`](crate::worker::Worker) claims jobs from its store, operators replay through it.
pub struct Engine {
    config: ArcSwap<CompiledConfig>,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    ingest: Ingest,
    retention_clock: Arc<RetentionClock>,
    run_state: Arc<RunState>,
    work: Arc<Notify>,
}

/// A new configuration that cannot replace the old one while the process runs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{what} cannot change while the server runs (from `{from}` to `{to}`); restart it for that"
)]
pub struct ReloadError {
    /// The key of routes.yaml, such as `server.listen`.
    pub what: &'static str,
    /// The value in force, without secrets.
    pub from: String,
    /// The value in the new configuration, without secrets.
    pub to: String,
}

impl Engine {
    /// Puts an engine together over an open store. Providers whose keys live with their senders
    /// cannot verify: use [`Engine::with_keys`] for them.
    pub fn new(config: CompiledConfig, store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Arc<Self> {
        Self::with_keys(config, store, clock, Arc::new(NoKeys))
    }

    /// Puts an engine together over an open store, with a source of the keys that live with
    /// senders.
    pub fn with_keys(
        config: CompiledConfig,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        keys: Arc<dyn KeySource>,
    ) -> Arc<Self> {
        Self::with_event_ids(config, store, clock, keys, EventId::generate)
    }

    /// Puts an engine together whose events get their ids from a function of the caller: for
    /// simulations, which repeat a run with the same ids.
    pub fn with_event_ids(
        config: CompiledConfig,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        keys: Arc<dyn KeySource>,
        generate_event_id: GenerateEventId,
    ) -> Arc<Self> {
        // First of all, so that ingest, worker and operators can only reach the wrapped store.
        let store = CatchPanics::around(store);
        let retention_clock = Arc::new(RetentionClock::new(clock.clone()));
        let (run_state, work) = (Arc::new(RunState::default()), Arc::new(Notify::new()));
        let ingest = Ingest::new(
            store.clone(),
            clock.clone(),
            keys,
            retention_clock.clone(),
            run_state.clone(),
            work.clone(),
            generate_event_id,
        );
        let config = ArcSwap::from_pointee(config);
        Arc::new(Self { config, store, clock, ingest, retention_clock, run_state, work })
    }

    /// Takes a request from its head to its answer. Returns a 2xx only after the event and its
    /// dedupe keys are durable. The request keeps the configuration with which it began, also
    /// across a reload.
    pub async fn receive(&self, head: Head, body: impl ReadBody) -> Reply {
        self.ingest.respond(&self.config(), head, body).await
    }

    /// Counts and logs a request that the server rejects by itself, and renders the reply. `source`
    /// is empty where the path names none.
    pub fn reject(&self, source: &str, client: Option<IpAddr>, rejection: &Rejection) -> Reply {
        self.ingest.reject(source, client, rejection)
    }

    /// The configuration in force. The caller keeps it unchanged across a reload.
    pub fn config(&self) -> Arc<CompiledConfig> {
        self.config.load_full()
    }

    /// The store. A call that panics in it returns an error.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// The clock that the engine and its handlers go by.
    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// The present time by the wall clock.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The clock used for retention and the dedupe window.
    pub(crate) fn retention_clock(&self) -> &RetentionClock {
        &self.retention_clock
    }

    /// Reads from the store where the retention clock was when it was saved last. Until then nothing
    /// expires, and every repetition is a duplicate, so it is best called before the first request;
    /// the worker tries again where it fails.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn start_retention_clock(&self) -> Result<(), StoreError> {
        if !self.retention_clock.is_started() {
            self.retention_clock.start(self.store.retention_state().await?);
        }
        Ok(())
    }

    /// Reads the clocks, so that a step of the wall clock is noticed while no request arrives.
    pub(crate) fn observe_clock(&self) {
        self.ingest.observe_clock();
    }

    /// Whether the process accepts, drains or has failed.
    pub(crate) fn run_state(&self) -> &Arc<RunState> {
        &self.run_state
    }

    /// Puts a new configuration in force, all of it together. Store, ports, token and the limits of
    /// the listener cannot change.
    ///
    /// # Errors
    /// The first key that cannot change and does; the old configuration then stays in force.
    pub fn reload(&self, new: CompiledConfig) -> Result<(), ReloadError> {
        check_fixed_keys(&self.config(), &new)?;
        telemetry::log_reloaded(new.sources.len(), new.routes.len());
        self.config.store(Arc::new(new));
        // Jobs of a route that was added, or that was removed, are waiting.
        self.wake_worker();
        Ok(())
    }

    /// Stops accepting webhooks: further requests get 503 `DRAINING`.
    pub fn drain(&self) {
        self.run_state.drain();
    }

    /// Whether webhooks are no longer accepted.
    pub fn is_draining(&self) -> bool {
        self.run_state.is_draining()
    }

    /// Completes when the store or the worker has failed for good. Stop the process then: a new one
    /// opens the store and recovers what it holds.
    pub async fn until_failed(&self) {
        self.run_state.until_failed().await;
    }

    /// Why nothing can be accepted now; `None`: all is well. Asks the store, for at most two
    /// seconds.
    pub async fn health_problem(&self) -> Option<String> {
        if self.is_draining() {
            return Some("stopping".to_owned());
        }
        // Not asked of the store: one that hangs would make each health check wait for its timeout.
        if self.ingest.has_stalled_commits() {
            return Some("the store has not answered for two seconds".to_owned());
        }
        match tokio::time::timeout(STORE_CHECK_TIMEOUT, self.store.check()).await {
            Ok(Ok(())) => None,
            Ok(Err(e)) => Some(e.to_string()),
            Err(_) => Some("the store does not answer".to_owned()),
        }
    }

    /// Makes the worker claim now instead of at its next poll.
    pub fn wake_worker(&self) {
        self.work.notify_one();
    }

    /// Completes when [`Self::wake_worker`] was called or a delivery with jobs was accepted.
    pub(crate) async fn work_arrives(&self) {
        self.work.notified().await;
    }
}

/// Compares the keys that are fixed when the process starts.
fn check_fixed_keys(old: &CompiledConfig, new: &CompiledConfig) -> Result<(), ReloadError> {
    let unchanged = |what, from: String, to: String| {
        if from == to { Ok(()) } else { Err(ReloadError { what, from, to }) }
    };
    if old.store.url != new.store.url {
        // Compared by the whole URL, shown without the password that may be in it.
        let (from, to) = (old.store.redacted_url(), new.store.redacted_url());
        return Err(ReloadError { what: "store", from, to });
    }
    let (from, to) = (&old.server, &new.server);
    unchanged("server.listen", from.listen.to_string(), to.listen.to_string())?;
    let connections = |server: &CompiledServer| server.max_connections.to_string();
    unchanged("server.max_connections", connections(from), connections(to))?;
    let bytes = |server: &CompiledServer| server.max_body_bytes_in_flight.to_string();
    unchanged("server.max_body_bytes_in_flight", bytes(from), bytes(to))?;
    // A new certificate takes effect; changing between HTTP and HTTPS would lock out every sender.
    let scheme = |server: &CompiledServer| server.tls.as_ref().map_or("http", |_| "https");
    unchanged("server.tls", scheme(from).to_owned(), scheme(to).to_owned())?;
    unchanged("admin.listen", old.admin.listen.to_string(), new.admin.listen.to_string())?;
    let same_token = match (&old.admin.token, &new.admin.token) {
        (Some(a), Some(b)) => tokens_equal(a.expose().as_bytes(), b.expose().as_bytes()),
        (a, b) => a.is_none() && b.is_none(),
    };
    if same_token {
        return Ok(());
    }
    let from = if old.admin.token.is_some() { "set" } else { "not set" }.to_owned();
    Err(ReloadError { what: "admin.token", from, to: "another one".to_owned() })
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("config", &self.config().file).finish_non_exhaustive()
    }
}
