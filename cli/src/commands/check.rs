//! `hookward check`: reports the mistakes of a routes.yaml, or summarises it.

use std::process::ExitCode;

use hookward::Metrics;
use hookward_core::store::OpenCx;
use hookward_core::{Clock, SystemClock};
use hookward_engine::compiled::CompiledConfig;
use hookward_engine::config::Loaded;

use crate::commands::RoutesFile;
use crate::{EXIT_ERROR, EXIT_STORE, output};

/// Report every mistake of a routes.yaml with its position, or summarise what it configures
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  hookward check routes.yaml --live")]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    file: RoutesFile,
    /// Also open the store and probe the handlers; fails while a server has the store open
    #[arg(long)]
    live: bool,
}

pub(crate) async fn run(args: CheckArgs) -> ExitCode {
    let file = &args.file.routes;
    let loaded = super::app(file, Metrics::none())
        .and_then(|app| hookward::internal::load(&app).map_err(|d| d.render(output::colour())));
    let Loaded { config, warnings } = match loaded {
        Ok(loaded) => loaded,
        Err(e) => return output::fail(EXIT_ERROR, e),
    };
    if !warnings.is_empty() {
        output::note(warnings.render(output::colour()).trim_end());
    }
    if config.store.descriptor.name == "sqlite" {
        let path = config.base_dir.join(&config.store.rest);
        for problem in hookward_store_sqlite::find_open_permissions(&path) {
            output::note(format!("warning: {problem}"));
        }
    }
    summary(&config);
    if args.live { live(&config).await } else { ExitCode::SUCCESS }
}

fn summary(config: &CompiledConfig) {
    let plural = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    output::line(format!(
        "{}: ok, {} and {}",
        config.file.display(),
        plural(config.sources.len(), "source"),
        plural(config.routes.len(), "route"),
    ));
    output::line(format!("store    {}", config.store.redacted_url()));
    for source in config.sources.values() {
        let proof = match (source.verified, source.secrets.all().len()) {
            (false, _) => "NOT VERIFIED".to_owned(),
            (true, n) => plural(n, "secret"),
        };
        output::line(format!(
            "source   {}  {}  {}  {proof}",
            source.name, source.path, source.provider_name
        ));
    }
    for route in config.route_table.all() {
        let events: Vec<_> = route.events.iter().map(ToString::to_string).collect();
        let chain: Vec<_> = route.chain.iter().map(|s| s.handler_name.as_ref()).collect();
        output::line(format!(
            "route    {}  {}  →  {}",
            route.name,
            events.join(", "),
            chain.join(" → ")
        ));
    }
    let mut handlers: Vec<_> = config
        .routes
        .values()
        .flat_map(|r| r.chain.iter().map(|s| s.handler_name.to_string()))
        .collect();
    handlers.sort_unstable();
    handlers.dedup();
    output::line(format!("handlers {}", handlers.join(", ")));
}

/// Opens the store as the server would, and probes every handler.
async fn live(config: &CompiledConfig) -> ExitCode {
    let cx = OpenCx::new(config.base_dir.clone(), SystemClock.now(), hookward_engine::STORE_POLICY);
    match (config.store.descriptor.open)(config.store.rest.clone(), cx).await {
        Ok(store) => {
            let checked = store.check().await;
            store.close().await;
            if let Err(e) = checked {
                return output::fail(
                    EXIT_STORE,
                    format!("the store `{}`: {e}", config.store.redacted_url()),
                );
            }
            output::line(format!("live     store {}: ok", config.store.redacted_url()));
        }
        Err(e) => {
            return output::fail(
                EXIT_STORE,
                format!("the store `{}`: {e}", config.store.redacted_url()),
            );
        }
    }
    let mut failed = false;
    for route in config.route_table.all() {
        for step in &route.chain {
            let result = match step.handler.probe().await {
                Ok(()) => "ok".to_owned(),
                Err(e) => {
                    failed = true;
                    format!("FAILED: {e}")
                }
            };
            output::line(format!("live     {} / {}: {result}", route.name, step.name));
        }
    }
    if failed { ExitCode::from(EXIT_ERROR) } else { ExitCode::SUCCESS }
}
