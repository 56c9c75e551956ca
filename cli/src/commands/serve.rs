//! `hookward serve`: runs the server until a signal or a failed store.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hookward::{
    BuildAppError, Hooks, Metrics, raise_file_limit, serve, shutdown_signal, watch_reload,
};
use tokio::net::TcpListener;

use crate::commands::RoutesFile;
use crate::{EXIT_ERROR, EXIT_STORE, logging, output};

/// Run the server
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  hookward serve routes.yaml --listen 0.0.0.0:8080")]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    file: RoutesFile,
    /// Address of the receiving port, overriding routes.yaml; port 0 picks a free one
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// Address of the admin port, overriding routes.yaml; port 0 picks a free one
    #[arg(long, value_name = "ADDR")]
    admin: Option<SocketAddr>,
}

pub(crate) async fn run(args: ServeArgs) -> ExitCode {
    let _flush_logs_on_exit = logging::start("info");
    let app = match super::app(&args.file.routes, Metrics::install()) {
        Ok(app) => app,
        Err(e) => return output::fail(EXIT_ERROR, e),
    };
    let hooks = match app.build().await {
        Ok(hooks) => hooks,
        Err(BuildAppError::Config(d)) => {
            return output::fail(EXIT_ERROR, d.render(output::colour()));
        }
        Err(e @ BuildAppError::Store { .. }) => return output::fail(EXIT_STORE, e),
        Err(e) => return output::fail(EXIT_ERROR, e),
    };
    let store_failed = Arc::new(AtomicBool::new(false));
    let result = serve_until_shutdown(&args, hooks.clone(), store_failed.clone()).await;
    match result {
        Ok(()) if store_failed.load(Ordering::Relaxed) => {
            output::fail(EXIT_STORE, "the store failed; start the server again to recover it")
        }
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            hooks.stop().await;
            output::fail(EXIT_ERROR, e)
        }
    }
}

async fn serve_until_shutdown(
    args: &ServeArgs,
    hooks: Hooks,
    store_failed: Arc<AtomicBool>,
) -> Result<(), String> {
    let config = hookward::internal::engine(&hooks).config();
    let admin_addr = args.admin.unwrap_or(config.admin.listen);
    if config.admin.token.is_none() && !admin_addr.ip().is_loopback() {
        return Err(format!(
            "--admin {admin_addr} is reachable from other machines, but no token is configured; set `admin: {{ token: \"${{HOOKWARD_ADMIN_TOKEN}}\" }}` in {}",
            config.file.display()
        ));
    }
    raise_file_limit();
    let ingress = bind(args.listen.unwrap_or(config.server.listen))?;
    let admin = bind(admin_addr)?;
    if config.admin.token.is_none() {
        tracing::info!("admin port has no token: only this machine can reach it");
    }
    let (ingress_addr, bound_admin_addr) = (local_addr(&ingress)?, local_addr(&admin)?);
    // Installed before the lines are printed: their reader may send a signal immediately.
    tokio::spawn(watch_reload(hooks.clone()));
    let first_signal = first_shutdown_signal();
    let scheme = if config.server.tls.is_some() { "https" } else { "http" };
    output::line(format!("listening on {scheme}://{ingress_addr}"));
    output::line(format!("admin on http://{bound_admin_addr}"));
    let router = hooks.admin();
    let admin = tokio::spawn(async move { serve(admin, router, std::future::pending()).await });
    let running = hooks.clone();
    let end = async move {
        tokio::select! {
            () = first_signal => {}
            () = running.store_failed() => store_failed.store(true, Ordering::Relaxed),
        }
    };
    let served = serve(ingress, hooks.standalone(), end).with(hooks).await;
    // The admin port answers until the end, so that `/readyz` reports the drain.
    admin.abort();
    served.map_err(|e| e.to_string())
}

/// Ends at the first signal, which starts the drain. A second signal exits immediately, which is safe:
/// every acknowledged event is stored.
fn first_shutdown_signal() -> impl Future<Output = ()> + Send + 'static {
    let first = shutdown_signal();
    async move {
        first.await;
        tracing::info!("shutdown started; a second signal exits immediately");
        tokio::spawn(async {
            shutdown_signal().await;
            std::process::exit(i32::from(EXIT_ERROR));
        });
    }
}

fn bind(addr: SocketAddr) -> Result<TcpListener, String> {
    hookward::bind(addr).map_err(|e| format!("cannot listen on {addr}: {e}"))
}

fn local_addr(listener: &TcpListener) -> Result<SocketAddr, String> {
    listener.local_addr().map_err(|e| e.to_string())
}
