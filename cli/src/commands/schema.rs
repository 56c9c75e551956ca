//! `hookward schema`

use std::process::ExitCode;

use hookward::plugin::Registry;

use crate::output;

/// Print the JSON Schema of routes.yaml, plugins included, for editors
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  hookward schema > routes.schema.json")]
pub(crate) struct SchemaArgs {}

pub(crate) fn run(registry: &Registry) -> ExitCode {
    output::line(format!("{:#}", hookward_engine::config::json_schema(registry)));
    ExitCode::SUCCESS
}
