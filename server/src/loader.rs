//! Compiles routes.yaml together with what the app adds to it. Used at start, by `check` and by
//! each reload, so that all three accept and reject the same files.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use hookward_core::plugin::Registry;
use hookward_core::{Clock, Handler, SystemClock};
use hookward_engine::config::{self, Diagnostics, Environment, LoadCx, Loaded, SystemEnvironment};

/// Everything that a compiled configuration depends on besides the text of its file.
#[derive(Clone)]
pub(crate) struct Loader {
    /// The path of routes.yaml; relative paths in it start at its folder.
    pub(crate) file: PathBuf,
    /// The plugins that routes.yaml may name.
    pub(crate) registry: Registry,
    /// The app's own handlers by name; they take precedence over those of the registry.
    pub(crate) handlers: BTreeMap<String, Arc<dyn Handler>>,
    /// Name and text of the schemas that `schema: builtin:NAME` finds.
    pub(crate) schemas: &'static [(&'static str, &'static str)],
    /// Resolves `${NAME}` and reads files, routes.yaml included.
    pub(crate) environment: Arc<dyn Environment + Send + Sync>,
    /// Decides which secrets have expired; the engine uses the same clock.
    pub(crate) clock: Arc<dyn Clock>,
}

impl Loader {
    /// Creates a loader with the system's environment and clock, and without handlers or schemas.
    pub(crate) fn new(file: PathBuf, registry: Registry) -> Self {
        Self {
            file,
            registry,
            handlers: BTreeMap::new(),
            schemas: &[],
            environment: Arc::new(SystemEnvironment),
            clock: Arc::new(SystemClock),
        }
    }

    /// Reads and compiles routes.yaml. Opens no store and connects to nothing.
    pub(crate) fn load(&self) -> Result<Loaded, Diagnostics> {
        let cx = LoadCx {
            registry: &self.registry,
            environment: self.environment.as_ref(),
            builtin_schemas: self.schemas,
            handlers: &self.handlers,
            now: self.clock.now(),
        };
        config::load(&self.file, &cx)
    }
}

impl fmt::Debug for Loader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loader").field("file", &self.file).finish_non_exhaustive()
    }
}
