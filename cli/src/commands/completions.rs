//! `hookward completions`

use std::process::ExitCode;

use clap::CommandFactory;
use clap_complete::Shell;

/// Print a completion script for a shell
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  hookward completions bash > /etc/bash_completion.d/hookward")]
pub(crate) struct CompletionsArgs {
    /// Which shell
    shell: Shell,
}

pub(crate) fn run<C: CommandFactory>(args: &CompletionsArgs) -> ExitCode {
    clap_complete::generate(args.shell, &mut C::command(), "hookward", &mut std::io::stdout());
    ExitCode::SUCCESS
}
