//! Access to the engine's own types, for the `hookward` command and this workspace's tests.
//!
//! Not a part of the public API: it follows the engine's types without notice. Apps find what they
//! need on [`App`] and [`Hooks`].

use std::sync::Arc;

use hookward_engine::Engine;
use hookward_engine::config::{Diagnostics, Loaded};

use crate::app::App;
use crate::hooks::Hooks;

/// Compiles the routes.yaml of an app, as [`App::build`] does before it opens the store.
pub fn load(app: &App) -> Result<Loaded, Diagnostics> {
    app.load()
}

/// The engine of a running app.
pub fn engine(hooks: &Hooks) -> &Arc<Engine> {
    hooks.engine()
}
