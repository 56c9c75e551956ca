//! The builder of an app: a routes.yaml, the plugins and functions that it may name, and what the
//! app replaces (environment, clock, metrics, keys).

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use hookward_core::plugin::{DuplicatePlugin, Plugin, Registry};
use hookward_core::store::OpenCx;
use hookward_core::{Clock, Handler, KeySource};
use hookward_engine::Engine;
use hookward_engine::config::{Diagnostics, Environment, Loaded};
use tokio::runtime::Runtime;

use crate::fn_handler::{FnHandler, HandlerFn};
use crate::hooks::Hooks;
use crate::keys::NetworkKeys;
use crate::loader::Loader;
use crate::metrics::Metrics;
use crate::shared::Shared;
use crate::telemetry;

/// A routes.yaml and everything that it may name, from which [`build`](App::build) makes running
/// [`Hooks`].
///
/// Nothing is read or opened before [`check`](App::check), [`build`](App::build) or
/// [`open`](App::open). A clone is an independent app.
///
/// ```no_run
/// use hookward::{App, Event, HandlerCx, HandlerError};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let hooks = App::from_file("routes.yaml")?
///     .handler("print", |event: Event, _cx: HandlerCx| async move {
///         println!("{:?} from {}", event.event_type(), event.source());
///         Ok::<_, HandlerError>(())
///     })
///     .build()
///     .await?;
/// # hooks.stop().await;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct App {
    loader: Loader,
    metrics: Metrics,
    /// `None`: fetched over the network.
    keys: Option<Arc<dyn KeySource>>,
}

/// Why an app cannot be put together, whatever its routes.yaml says.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppError {
    /// Two linked crates register a plugin of the same kind and name.
    #[error(transparent)]
    Plugins(#[from] DuplicatePlugin),
    /// TLS, over which senders' keys are fetched, cannot be set up.
    #[error("senders' keys cannot be fetched: {0}")]
    Keys(String),
    /// The threads of the handlers' runtime cannot be started.
    #[error("the runtime of the handlers cannot be started: {0}")]
    Runtime(String),
}

/// Why an app cannot start.
///
/// Its `Debug` form is its `Display` form, so that a `main` that returns it prints the mistakes of
/// routes.yaml readably.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum BuildAppError {
    /// routes.yaml has mistakes: all of them, with positions.
    #[error("{0}")]
    Config(Diagnostics),
    /// The store cannot be opened: it is damaged, unreachable, or in use by another process.
    #[error("cannot open the store `{url}`: {reason}")]
    Store {
        /// The URL in routes.yaml; what may be a password is replaced.
        url: String,
        /// The store's error, with what to do about it.
        reason: String,
    },
    /// The app itself cannot be put together.
    #[error(transparent)]
    App(#[from] AppError),
}

impl fmt::Debug for BuildAppError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl App {
    /// Creates an app from a routes.yaml and the plugins that are linked into this program.
    ///
    /// A crate that is only listed in Cargo.toml is not linked; name it:
    /// `use hookward_provider_stripe as _;`.
    ///
    /// # Errors
    /// If two linked crates register the same plugin. The file is not read yet.
    pub fn from_file(file: impl AsRef<Path>) -> Result<Self, AppError> {
        Ok(Self::new(file.as_ref(), Registry::linked()?))
    }

    /// Creates an app that knows only the listed plugins and the store `memory:`, whatever else is
    /// linked into this program.
    ///
    /// # Errors
    /// If two of the plugins have the same kind and name.
    ///
    /// ```
    /// # fn main() -> Result<(), hookward::AppError> {
    /// let app = hookward::App::with_plugins("routes.yaml", &[hookward_provider_none::PLUGINS])?;
    /// assert_eq!(app.registry().names("provider"), ["none"]);
    /// assert_eq!(app.registry().names("store"), ["memory"]);
    /// # Ok(()) }
    /// ```
    pub fn with_plugins(file: impl AsRef<Path>, plugins: &[&[Plugin]]) -> Result<Self, AppError> {
        let mut registry = Registry::empty();
        registry.add(hookward_engine::memory::PLUGINS)?;
        registry.add(plugins.iter().copied().flatten())?;
        Ok(Self::new(file.as_ref(), registry))
    }

    fn new(file: &Path, registry: Registry) -> Self {
        let loader = Loader::new(file.to_owned(), registry);
        Self { loader, metrics: Metrics::none(), keys: None }
    }

    /// Adds a function as the handler `name`, for use in `chain:`.
    ///
    /// The function is `async fn(Payload<T>, HandlerCx) -> Result<(), HandlerError>`; see
    /// [`HandlerFn`] for the other forms. It takes precedence over a linked handler of the same
    /// name.
    #[must_use]
    pub fn handler<Args: 'static>(self, name: &str, function: impl HandlerFn<Args>) -> Self {
        self.handler_value(name, Arc::new(FnHandler::new(name, function)))
    }

    /// Adds a value that implements [`Handler`] as the handler `name`.
    #[must_use]
    pub fn handler_value(mut self, name: &str, handler: Arc<dyn Handler>) -> Self {
        self.loader.handlers.insert(name.to_owned(), handler);
        self
    }

    /// Sets the JSON Schemas that `schema: builtin:NAME` finds, as pairs of name and text, such as
    /// `hookward_schemas::ALL`. The default is an empty list.
    #[must_use]
    pub fn schemas(mut self, schemas: &'static [(&'static str, &'static str)]) -> Self {
        self.loader.schemas = schemas;
        self
    }

    /// Sets where `${NAME}` and files, routes.yaml included, are read from. By default the process
    /// environment and the disk.
    #[must_use]
    pub fn environment(mut self, environment: Arc<dyn Environment + Send + Sync>) -> Self {
        self.loader.environment = environment;
        self
    }

    /// Sets the clock for signature tolerances, leases, due times and dedupe windows. By default
    /// the system's. Timers use tokio's clock in any case.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.loader.clock = clock;
        self
    }

    /// Sets what `/metrics` of the admin port renders, usually [`Metrics::install`]. By default
    /// nothing: metrics then go to the recorder that the app has installed itself.
    #[must_use]
    pub fn metrics(mut self, metrics: Metrics) -> Self {
        self.metrics = metrics;
        self
    }

    /// Sets where keys that senders publish come from: a proxy, files, a fixed list. By default
    /// [`NetworkKeys`].
    #[must_use]
    pub fn keys(mut self, keys: Arc<dyn KeySource>) -> Self {
        self.keys = Some(keys);
        self
    }

    /// The plugins that routes.yaml may name. Handlers of the app are not among them.
    pub fn registry(&self) -> &Registry {
        &self.loader.registry
    }

    /// Checks routes.yaml without opening the store or connecting to anything.
    ///
    /// Returns the warnings. The `hookward` command does not know the functions of an app, so call
    /// this in a test.
    ///
    /// # Errors
    /// All mistakes, with positions, and the warnings with them.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), hookward::AppError> {
    /// let app = hookward::App::from_file("routes.yaml")?;
    /// match app.check() {
    ///     Ok(warnings) => print!("{warnings}"),
    ///     Err(mistakes) => panic!("{mistakes}"),
    /// }
    /// # Ok(()) }
    /// ```
    pub fn check(&self) -> Result<Diagnostics, Diagnostics> {
        self.load().map(|loaded| loaded.warnings)
    }

    /// Reached by other crates through `hookward::internal::load`.
    pub(crate) fn load(&self) -> Result<Loaded, Diagnostics> {
        self.loader.load()
    }

    /// Compiles routes.yaml, opens the store and starts the worker: stored jobs run from now on.
    /// Deliveries are accepted once a router of the [`Hooks`] is served.
    ///
    /// # Errors
    /// If routes.yaml has a mistake, the store cannot be opened, or the system denies threads or
    /// TLS.
    pub async fn build(self) -> Result<Hooks, BuildAppError> {
        let engine = self.start_engine().await?;
        let runtime = start_handler_runtime()?;
        Ok(Hooks::new(Shared::start(engine, self.loader, self.metrics, Some(runtime))))
    }

    /// Like [`build`](App::build), but without the worker: no job runs. For inspecting a store and
    /// replaying events while no server has it open.
    ///
    /// # Errors
    /// As `build`.
    pub async fn open(self) -> Result<Hooks, BuildAppError> {
        let engine = self.start_engine().await?;
        Ok(Hooks::new(Shared::start(engine, self.loader, self.metrics, None)))
    }

    async fn start_engine(&self) -> Result<Arc<Engine>, BuildAppError> {
        let Loaded { config, warnings } = self.load().map_err(BuildAppError::Config)?;
        telemetry::config_warnings(&warnings);
        for source in config.unverified_sources() {
            hookward_core::telemetry::source_unverified(source);
        }
        let clock = &self.loader.clock;
        let cx = OpenCx::new(config.base_dir.clone(), clock.now(), hookward_engine::STORE_POLICY);
        let opening = (config.store.descriptor.open)(config.store.rest.clone(), cx);
        let store = opening.await.map_err(|e| BuildAppError::Store {
            url: config.store.redacted_url(),
            reason: e.to_string(),
        })?;
        if !store.durable() {
            telemetry::store_not_durable(&config.store.redacted_url());
        }
        let keys: Arc<dyn KeySource> = match &self.keys {
            Some(keys) => keys.clone(),
            None => Arc::new(NetworkKeys::new(clock.clone()).map_err(AppError::Keys)?),
        };
        let engine = Engine::with_keys(config, store, clock.clone(), keys);
        // Before the first request. After an error nothing expires, and the worker tries again.
        if let Err(error) = engine.start_retention_clock().await {
            telemetry::retention_clock_unread(&error);
        }
        Ok(engine)
    }
}

/// Starts the runtime on which handlers run, apart from the one that serves senders.
fn start_handler_runtime() -> Result<Runtime, AppError> {
    tokio::runtime::Builder::new_multi_thread()
        .thread_name("hookward-handler")
        .enable_all()
        .build()
        .map_err(|e| AppError::Runtime(e.to_string()))
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App").field("file", &self.loader.file).finish_non_exhaustive()
    }
}
