//! `hookward plugins`: lists the linked plugins.

use std::process::ExitCode;

use hookward::plugin::Registry;

use crate::output;

/// List every linked provider, handler and store
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  hookward plugins --json")]
pub(crate) struct PluginsArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &PluginsArgs, registry: &Registry) -> ExitCode {
    if args.json {
        output::line(hookward::admin::plugin_list(registry));
        return ExitCode::SUCCESS;
    }
    let row = |p: &hookward::plugin::Plugin| {
        let from = format!("{} {}", p.origin().crate_name, p.origin().version);
        vec![p.kind().to_owned(), p.name().to_owned(), from, p.summary().to_owned()]
    };
    output::table(&["kind", "name", "crate", "summary"], registry.all().map(row).collect());
    ExitCode::SUCCESS
}
