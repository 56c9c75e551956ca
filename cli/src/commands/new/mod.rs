//! `hookward new`: writes a crate that compiles, passes its own tests and explains itself in comments.

mod app;
mod crate_files;
mod dependency_source;
mod handler;
mod name;
mod provider;
mod scheme;

use std::path::PathBuf;
use std::process::ExitCode;

use hookward_core::plugin::Registry;

use crate::{EXIT_USAGE, output};

/// Write a new crate: a provider, a handler or an app
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  hookward new provider acme --header X-Acme-Signature --prefix sha256=
  hookward new provider acme --message '{timestamp}.{body}' --timestamp header:X-Acme-Time
  hookward new handler post-to-ledger
  hookward new app shop-hooks")]
pub(crate) struct NewArgs {
    #[command(subcommand)]
    kind: CrateKind,
}

#[derive(Debug, clap::Subcommand)]
enum CrateKind {
    /// A provider crate: the signature scheme as data, with vectors and the conformance suite
    Provider(Box<provider::ProviderArgs>),
    /// A handler crate with the conformance suite
    Handler(NamedCrate),
    /// An app that receives webhooks and handles them in functions
    App(NamedCrate),
}

/// Where the new crate is written, and what it depends on.
#[derive(Debug, Clone, clap::Args)]
struct Target {
    /// The folder to write; it must not exist. Default: the crate's name, in the current folder
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// A checkout of Hookward to build on, instead of the published crates
    #[arg(long, value_name = "DIR")]
    hookward: Option<PathBuf>,
}

/// The arguments of a crate that needs only a name.
#[derive(Debug, clap::Args)]
struct NamedCrate {
    /// The name, such as `post-to-ledger`
    name: String,
    #[command(flatten)]
    target: Target,
}

pub(crate) fn run(args: &NewArgs, registry: &Registry) -> ExitCode {
    let made = match &args.kind {
        CrateKind::Provider(args) => provider::render(args, registry),
        CrateKind::Handler(args) => handler::render(args, registry),
        CrateKind::App(args) => app::render(args),
    };
    match made.and_then(|(files, folder)| files.write(&folder).map(|()| (files, folder))) {
        Ok((files, folder)) => {
            output::line(format!("{}:", folder.display()));
            files.paths().for_each(|path| output::line(format!("  {path}")));
            output::note(format!("\nNext: cd {} && cargo test", folder.display()));
            ExitCode::SUCCESS
        }
        Err(message) => output::fail(EXIT_USAGE, message),
    }
}
