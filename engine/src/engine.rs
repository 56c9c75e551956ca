//! The engine: the configuration in force, the store, the clock. One per process; servers call
//! [`Engine::receive`], the worker claims from it, operators replay through it.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use hookward_core::keys::{KeySource, NoKeys};
use hookward_core::proof::tokens_equal;
use hookward_core::store::StoreError;
use hookward_core::{Clock, Store, Timestamp};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::catch_panics::CatchPanics;
use crate::compiled::{CompiledConfig, CompiledServer};
use crate::ingest::{ClockStepDetector, CommitPermits, JsonMemoryLimit, Limiters, Rejection};
use crate::retention_clock::RetentionClock;
use crate::telemetry;
use crate::worker::breaker::Breakers;

/// Everything that is shared by accepting and working.
pub struct Engine {
    config: ArcSwap<CompiledConfig>,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    pub(crate) keys: Arc<dyn KeySource>,
    pub(crate) limiters: Limiters,
    pub(crate) breakers: Breakers,
    clock_step: ClockStepDetector,
    retention_clock: Mutex<RetentionClock>,
    pub(crate) waiting: CommitPermits,
    pub(crate) reading: JsonMemoryLimit,
    draining: AtomicBool,
    pub(crate) work: Arc<Notify>,
    failed: CancellationToken,
}

/// Why a new configuration cannot take the place of the old one while the process runs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{what} cannot change while the server runs (from `{from}` to `{to}`); restart it for that"
)]
pub struct ReloadError {
    /// The key.
    pub what: &'static str,
    /// In force.
    pub from: String,
    /// Asked for.
    pub to: String,
}

impl Engine {
    /// Puts an engine together over an open store. It fetches no keys.
    pub fn new(config: CompiledConfig, store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Arc<Self> {
        Self::with_keys(config, store, clock, Arc::new(NoKeys))
    }

    /// The same with a source of the keys that live with senders.
    pub fn with_keys(
        config: CompiledConfig,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        keys: Arc<dyn KeySource>,
    ) -> Arc<Self> {
        let retention_clock = Mutex::new(RetentionClock::new(clock.now(), clock.monotonic(), None));
        Arc::new(Self {
            config: ArcSwap::from_pointee(config),
            store: CatchPanics::over(store),
            clock,
            keys,
            limiters: Limiters::default(),
            breakers: Breakers::default(),
            clock_step: ClockStepDetector::default(),
            retention_clock,
            waiting: CommitPermits::default(),
            reading: JsonMemoryLimit::default(),
            draining: AtomicBool::new(false),
            work: Arc::default(),
            failed: CancellationToken::new(),
        })
    }

    /// The configuration in force. A request keeps the one with which it began.
    pub fn config(&self) -> Arc<CompiledConfig> {
        self.config.load_full()
    }

    /// The store. None of its calls panics: one that would have is one that failed.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// The present moment.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Now, for what is to be forgotten, and how far the wall clock is ahead of that.
    pub(crate) fn retention_now(&self) -> (Timestamp, Duration) {
        let mut retention_clock =
            self.retention_clock.lock().unwrap_or_else(PoisonError::into_inner);
        retention_clock.now(self.clock.now(), self.clock.monotonic())
    }

    /// The newest event of the store that was found at the start.
    pub(crate) fn start_retention_clock(&self, newest: Timestamp) {
        let retention_clock =
            RetentionClock::new(self.clock.now(), self.clock.monotonic(), Some(newest));
        *self.retention_clock.lock().unwrap_or_else(PoisonError::into_inner) = retention_clock;
    }

    /// Whether the wall clock was set within the last minute.
    pub(crate) fn clock_is_suspect(&self) -> bool {
        self.clock_step.suspect(&*self.clock)
    }

    /// Puts a new configuration in force, all of it at once. Store, ports, token and the bounds of
    /// the listener cannot change.
    pub fn reload(&self, new: CompiledConfig) -> Result<(), ReloadError> {
        let old = self.config();
        let same = |what, from: String, to: String| {
            if from == to { Ok(()) } else { Err(ReloadError { what, from, to }) }
        };
        let shown = |set: bool| if set { "set" } else { "not set" }.to_owned();
        if old.store.url != new.store.url {
            let (from, to) = (old.store.redacted_url(), new.store.redacted_url());
            return Err(ReloadError { what: "store", from, to });
        }
        same("server.listen", old.server.listen.to_string(), new.server.listen.to_string())?;
        let (from, to) = (&old.server, &new.server);
        same(
            "server.max_connections",
            from.max_connections.to_string(),
            to.max_connections.to_string(),
        )?;
        let bytes = |server: &CompiledServer| server.max_body_bytes_in_flight.to_string();
        same("server.max_body_bytes_in_flight", bytes(from), bytes(to))?;
        // A new certificate is taken; whether there is one decides what senders have to speak.
        let speaks = |server: &CompiledServer| server.tls.as_ref().map_or("http", |_| "https");
        same("server.tls", speaks(from).to_owned(), speaks(to).to_owned())?;
        same("admin.listen", old.admin.listen.to_string(), new.admin.listen.to_string())?;
        let same_token = match (&old.admin.token, &new.admin.token) {
            (Some(a), Some(b)) => tokens_equal(a.expose().as_bytes(), b.expose().as_bytes()),
            (a, b) => a.is_none() && b.is_none(),
        };
        if !same_token {
            let (from, to) = (shown(old.admin.token.is_some()), "another one".to_owned());
            return Err(ReloadError { what: "admin.token", from, to });
        }
        telemetry::reloaded(new.sources.len(), new.routes.len());
        self.config.store(Arc::new(new));
        self.work_waits();
        Ok(())
    }

    /// From here on nothing is accepted.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Whether it is stopping.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Ends when the store has failed so that nothing it says can be trusted, or the work on it has: stop
    /// the process, and let a new one open the store and recover.
    pub async fn store_lost(&self) {
        self.failed.cancelled().await;
    }

    /// Tells of a failure of the store; after one that it cannot recover from, nothing more is accepted.
    pub(crate) fn store_failed(&self, during: &'static str, error: &StoreError) {
        telemetry::store_failed(during, &error.to_string());
        // Who stops drains first, and closes last: nobody has closed this one, so it ended by itself.
        let ended = matches!(error, StoreError::Closed) && !self.is_draining();
        if ended || matches!(error, StoreError::Failed(_)) {
            self.lost();
        }
    }

    /// Nothing is accepted any more, and [`Self::store_lost`] ends.
    pub(crate) fn lost(&self) {
        self.drain();
        self.failed.cancel();
    }

    /// Why nothing can be accepted now; `None`: it can. Asks the store.
    pub async fn health_problem(&self) -> Option<String> {
        if self.is_draining() {
            return Some("stopping".to_owned());
        }
        if self.waiting.are_late() {
            return Some("the store has not answered for two seconds".to_owned());
        }
        match tokio::time::timeout(Duration::from_secs(2), self.store.check()).await {
            Ok(Ok(())) => None,
            Ok(Err(e)) => Some(e.to_string()),
            Err(_) => Some("the store does not answer".to_owned()),
        }
    }

    pub(crate) fn accepting(&self) -> Result<(), Rejection> {
        if self.is_draining() { Err(Rejection::Draining) } else { self.waiting.has_room() }
    }

    /// Tells the worker to look.
    pub fn work_waits(&self) {
        self.work.notify_one();
    }

    pub(crate) async fn work_arrives(&self) {
        self.work.notified().await;
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("config", &self.config().file).finish_non_exhaustive()
    }
}
