//! `example-embed` serves the shop on 127.0.0.1:8080; `example-embed check` checks its routes.yaml.
#![allow(unused_crate_dependencies, reason = "`lib.rs` names all dependencies")]

use std::process::ExitCode;

use example_embed::{Fakes, app, webhooks};
use tokio::net::TcpListener;
use tracing_subscriber::EnvFilter;

const ROUTES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/routes.yaml");

#[tokio::main]
async fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let result = match std::env::args().nth(1).as_deref() {
        None => serve().await,
        Some("check") => check(),
        Some(other) => Err(format!("unknown command `{other}`; the only one is `check`").into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // `Display`, not `Debug`: a mistake in routes.yaml is shown over several lines.
        Err(e) => {
            eprintln!("{e}");
            ExitCode::FAILURE
        }
    }
}

async fn serve() -> Result<(), Box<dyn std::error::Error>> {
    let services = Fakes::default().services();
    let (app, hooks) = app(webhooks(ROUTES, &services)?, &services).await?;
    // SIGHUP reads routes.yaml again; a file with a mistake changes nothing.
    tokio::spawn(hookward::watch_reload(hooks.clone()));
    let listener = TcpListener::bind("127.0.0.1:8080").await?;
    println!("listening on http://{}", listener.local_addr()?);
    // At SIGTERM or SIGINT this stops accepting, lets running steps finish, and closes the store.
    hookward::serve(listener, app, hookward::shutdown_signal()).with(hooks).await?;
    Ok(())
}

/// Checks routes.yaml without opening the store. `hookward check` cannot do it: it does not know
/// the functions of this app.
fn check() -> Result<(), Box<dyn std::error::Error>> {
    let warnings = webhooks(ROUTES, &Fakes::default().services())?.check();
    let warnings = warnings.map_err(|mistakes| mistakes.to_string())?;
    println!("{ROUTES} has no mistakes\n{warnings}");
    Ok(())
}
