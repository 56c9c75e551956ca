//! The commands, one file each, and what several of them share.

use std::path::PathBuf;

use hookward::{App, Metrics};
use hookward_engine::config::Loaded;

pub(crate) mod backup;
pub(crate) mod check;
pub(crate) mod completions;
pub(crate) mod events;
pub(crate) mod explain;
pub(crate) mod new;
pub(crate) mod plugins;
pub(crate) mod ranges;
pub(crate) mod routes;
pub(crate) mod schema;
pub(crate) mod send;
pub(crate) mod serve;
pub(crate) mod verify;

/// The argument `ROUTES`: the routes.yaml to use.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct RoutesFile {
    /// The routing table
    #[arg(value_name = "ROUTES", default_value = "routes.yaml")]
    pub(crate) routes: PathBuf,
}

/// The app of the ready-made server: every linked plugin and the built-in schemas.
pub(crate) fn app(file: &std::path::Path, metrics: Metrics) -> Result<App, String> {
    let app = App::from_file(file).map_err(|e| e.to_string())?;
    Ok(app.schemas(hookward_schemas::ALL).metrics(metrics))
}

/// Reads and compiles a routes.yaml. The error is rendered for the terminal.
pub(crate) fn load(file: &std::path::Path) -> Result<Loaded, String> {
    let app = app(file, Metrics::none())?;
    hookward::internal::load(&app).map_err(|d| d.render(crate::output::colour()))
}
