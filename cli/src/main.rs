//! The `hookward` command. Results go to stdout, everything else to stderr. Exit codes: 0 done; 1 the
//! checked input is wrong, or the command failed; 2 wrong usage; 70 the store failed, or the store or
//! server could not be reached.

mod client;
mod commands;
mod diagnose;
mod http_file;
mod logging;
mod output;
mod pinned_tls;
mod plugins;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use hookward::plugin::Registry;

/// Exit code: the checked input is wrong, or the command failed.
const EXIT_ERROR: u8 = 1;
/// Exit code: the command was used wrongly.
const EXIT_USAGE: u8 = 2;
/// Exit code: the store failed, or the store or server could not be reached.
const EXIT_STORE: u8 = 70;

/// Receives webhooks: verifies who sent them, stores each exactly once, and routes every event
/// through a chain of handlers.
#[derive(Debug, Parser)]
#[command(name = "hookward", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(commands::serve::ServeArgs),
    Check(commands::check::CheckArgs),
    Plugins(commands::plugins::PluginsArgs),
    Routes(commands::routes::RoutesArgs),
    Explain(commands::explain::ExplainArgs),
    /// Verify a captured request or a file of vectors offline, and explain why verification fails
    Verify(commands::verify::VerifyArgs),
    Send(commands::send::SendArgs),
    Schema(commands::schema::SchemaArgs),
    Events(commands::events::EventsArgs),
    Dead(commands::events::DeadArgs),
    New(commands::new::NewArgs),
    Backup(commands::backup::BackupArgs),
    VerifyStore(commands::backup::VerifyStoreArgs),
    Ranges(commands::ranges::RangesArgs),
    Completions(commands::completions::CompletionsArgs),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let registry = match Registry::linked() {
        Ok(registry) => registry,
        Err(e) => return output::fail(EXIT_USAGE, e),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(e) => return output::fail(EXIT_STORE, e),
    };
    let code = runtime.block_on(run(cli.command, &registry));
    runtime.shutdown_background();
    code
}

async fn run(command: Command, registry: &Registry) -> ExitCode {
    match command {
        Command::Serve(args) => commands::serve::run(args).await,
        Command::Check(args) => commands::check::run(args).await,
        Command::Plugins(args) => commands::plugins::run(&args, registry),
        Command::Routes(args) => commands::routes::run(&args),
        Command::Explain(args) => commands::explain::run(&args),
        Command::Verify(args) => commands::verify::run(args, registry).await,
        Command::Send(args) => commands::send::run(args, registry).await,
        Command::Schema(_) => commands::schema::run(registry),
        Command::Events(args) => commands::events::run(args).await,
        Command::Dead(args) => commands::events::run_dead(args).await,
        Command::New(args) => commands::new::run(&args, registry),
        Command::Backup(args) => commands::backup::run(&args),
        Command::VerifyStore(args) => commands::backup::run_verify(&args),
        Command::Ranges(args) => commands::ranges::run(args).await,
        Command::Completions(args) => commands::completions::run::<Cli>(&args),
    }
}

// For the end-to-end tests, which share this package's dev-dependencies.
#[cfg(test)]
use {async_trait as _, fastrand as _, hookward_testkit as _, jsonschema as _, rusqlite as _};

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound_and_every_command_has_an_example() {
        let command = super::Cli::command();
        command.clone().debug_assert();
        for sub in command.get_subcommands() {
            let help = sub.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("Example"), "{} has no example", sub.get_name());
        }
    }
}
