//! An app: a routes.yaml, the handlers that are functions, and what else it is built from.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hookward_core::plugin::{OpenCx, Plugin, Registry};
use hookward_core::{Clock, Handler, KeySource, SystemClock};
use hookward_engine::Engine;
use hookward_engine::config::{self, Diagnostics, Environment, LoadCx, Loaded, SystemEnvironment};

use crate::fn_handler::{Function, HandlerFn};
use crate::hooks::{Hooks, handler_runtime, told};
use crate::keys::NetworkKeys;
use crate::metrics::Metrics;

/// What a running [`Hooks`] is built from.
#[derive(Clone)]
pub struct App {
    file: PathBuf,
    registry: Registry,
    handlers: BTreeMap<String, Arc<dyn Handler>>,
    schemas: &'static [(&'static str, &'static str)],
    environment: Arc<dyn Environment + Send + Sync>,
    clock: Arc<dyn Clock>,
    metrics: Metrics,
    keys: Option<Arc<dyn KeySource>>,
}

/// Why an app cannot be put together.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppError {
    /// Two linked crates bring the same plugin.
    #[error(transparent)]
    Plugins(#[from] hookward_core::plugin::DuplicatePlugin),
    /// What fetches senders' keys could not be made.
    #[error("senders' keys cannot be fetched: {0}")]
    Keys(String),
    /// The runtime of the handlers could not be made.
    #[error("the runtime of the handlers could not be made: {0}")]
    Runtime(String),
}

/// Why an app cannot start. Its `Debug` is its `Display`: a `main` that returns it shows the mistakes
/// as they are meant to be read.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum BuildAppError {
    /// Mistakes in routes.yaml, all of them, with positions.
    #[error("{0}")]
    Config(Diagnostics),
    /// The store could not be opened.
    #[error("cannot open the store `{url}`: {reason}")]
    Store {
        /// Its URL, without what may be a password in it.
        url: String,
        /// Why, and what to do.
        reason: String,
    },
    /// Something else.
    #[error(transparent)]
    App(#[from] AppError),
}

impl std::fmt::Debug for BuildAppError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

impl App {
    /// An app around a routes.yaml and the plugins that are linked into this program. The file is
    /// read when the app is built or checked.
    pub fn from_file(file: impl AsRef<Path>) -> Result<Self, AppError> {
        let mut app = Self::with_plugins(file, &[])?;
        app.registry = Registry::linked()?;
        Ok(app)
    }

    /// The same with plugins given by hand: `&[hookward_provider_github::PLUGINS]`. What is linked
    /// besides them is unknown to this app; the store `memory:` is always there.
    pub fn with_plugins(file: impl AsRef<Path>, plugins: &[&[Plugin]]) -> Result<Self, AppError> {
        let mut registry = Registry::empty();
        registry.add(hookward_engine::memory::PLUGINS)?;
        registry.add(plugins.iter().copied().flatten())?;
        Ok(Self {
            file: file.as_ref().to_owned(),
            registry,
            handlers: BTreeMap::new(),
            schemas: &[],
            environment: Arc::new(SystemEnvironment),
            clock: Arc::new(SystemClock),
            metrics: Metrics::none(),
            keys: None,
        })
    }

    /// A handler that is a function: `async fn(Payload<T>, HandlerCx) -> Result<(), HandlerError>`,
    /// or with an [`Event`](crate::Event) in the place of the payload, a [`Flow`](crate::Flow) in the
    /// place of nothing, and something of yours in front of both; see [`HandlerFn`]. routes.yaml names
    /// it, and finds it before a linked handler of the same name.
    #[must_use]
    pub fn handler<Args: 'static>(mut self, name: &str, function: impl HandlerFn<Args>) -> Self {
        self.handlers.insert(name.to_owned(), Arc::new(Function::new(name, function)));
        self
    }

    /// A handler that is a value of a type.
    #[must_use]
    pub fn handler_value(mut self, name: &str, handler: Arc<dyn Handler>) -> Self {
        self.handlers.insert(name.to_owned(), handler);
        self
    }

    /// JSON Schemas for `schema: builtin:NAME`, such as `hookward_schemas::ALL`.
    #[must_use]
    pub fn schemas(mut self, schemas: &'static [(&'static str, &'static str)]) -> Self {
        self.schemas = schemas;
        self
    }

    /// Another source of variables and files than the system's.
    #[must_use]
    pub fn environment(mut self, environment: Arc<dyn Environment + Send + Sync>) -> Self {
        self.environment = environment;
        self
    }

    /// Another clock than the system's.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Where metrics are rendered from; see [`Metrics::install`].
    #[must_use]
    pub fn metrics(mut self, metrics: Metrics) -> Self {
        self.metrics = metrics;
        self
    }

    /// Another source of the keys that live with senders than [`NetworkKeys`]: behind a proxy, from
    /// files, or none at all.
    #[must_use]
    pub fn keys(mut self, keys: Arc<dyn KeySource>) -> Self {
        self.keys = Some(keys);
        self
    }

    /// The plugins that it knows.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Judges routes.yaml without opening anything. `Ok` holds the warnings. Handlers that are
    /// functions are known here and nowhere else.
    pub fn check(&self) -> Result<Diagnostics, Diagnostics> {
        self.load().map(|loaded| loaded.warnings)
    }

    /// Reads and compiles routes.yaml.
    pub fn load(&self) -> Result<Loaded, Diagnostics> {
        config::load(&self.file, &self.load_cx())
    }

    fn load_cx(&self) -> LoadCx<'_> {
        LoadCx {
            registry: &self.registry,
            environment: self.environment.as_ref(),
            builtin_schemas: self.schemas,
            handlers: &self.handlers,
            now: self.clock.now(),
        }
    }

    /// Opens the store and starts working. Senders are served once the router is.
    pub async fn build(self) -> Result<Hooks, BuildAppError> {
        let engine = self.engine().await?;
        let metrics = self.metrics.clone();
        Ok(Hooks::start(engine, self, metrics, Some(handler_runtime()?)))
    }

    /// Opens the store and works on nothing: for looking into it and replaying while no server runs.
    pub async fn open(self) -> Result<Hooks, BuildAppError> {
        let engine = self.engine().await?;
        let metrics = self.metrics.clone();
        Ok(Hooks::start(engine, self, metrics, None))
    }

    async fn engine(&self) -> Result<Arc<Engine>, BuildAppError> {
        let Loaded { config, warnings } = self.load().map_err(BuildAppError::Config)?;
        told(&warnings);
        config
            .unverified_sources()
            .into_iter()
            .for_each(hookward_core::telemetry::source_unverified);
        let cx = OpenCx { base_dir: config.base_dir.clone(), now: self.clock.now() };
        let opening = (config.store.descriptor.open)(config.store.rest.clone(), cx);
        let store = opening.await.map_err(|e| BuildAppError::Store {
            url: config.store.redacted_url(),
            reason: e.to_string(),
        })?;
        if !store.durable() {
            tracing::warn!(store = %config.store.redacted_url(), "this store keeps nothing across a restart");
        }
        let keys: Arc<dyn KeySource> = match &self.keys {
            Some(keys) => keys.clone(),
            None => Arc::new(NetworkKeys::new(self.clock.clone()).map_err(AppError::Keys)?),
        };
        Ok(Engine::with_keys(config, store, self.clock.clone(), keys))
    }
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App").field("file", &self.file).finish_non_exhaustive()
    }
}
