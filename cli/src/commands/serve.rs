//! `hookward serve`

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hookward::{
    BuildAppError, Hooks, Metrics, raise_file_limit, serve, shutdown_signal, watch_reload,
};
use tokio::net::TcpListener;

use crate::commands::RoutesFile;
use crate::{STORE, WRONG, logging, output};

/// Run the server
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  hookward serve routes.yaml --listen 0.0.0.0:8080")]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    file: RoutesFile,
    /// The receiving port, over what routes.yaml says; port 0 picks a free one
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// The admin port, over what routes.yaml says; port 0 picks a free one
    #[arg(long, value_name = "ADDR")]
    admin: Option<SocketAddr>,
}

pub(crate) async fn run(args: ServeArgs) -> ExitCode {
    let _written_to_the_end = logging::start("info");
    let app = match super::app(&args.file.routes, Metrics::install()) {
        Ok(app) => app,
        Err(e) => return output::fail(WRONG, e),
    };
    let hooks = match app.build().await {
        Ok(hooks) => hooks,
        Err(BuildAppError::Config(d)) => {
            return output::fail(WRONG, d.render(output::colour()));
        }
        Err(e @ BuildAppError::Store { .. }) => return output::fail(STORE, e),
        Err(e) => return output::fail(WRONG, e),
    };
    let lost = Arc::new(AtomicBool::new(false));
    let result = listen(&args, hooks.clone(), lost.clone()).await;
    match result {
        Ok(()) if lost.load(Ordering::Relaxed) => {
            output::fail(STORE, "the store failed; a new start recovers what it holds")
        }
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            hooks.stop().await;
            output::fail(WRONG, e)
        }
    }
}

async fn listen(args: &ServeArgs, hooks: Hooks, lost: Arc<AtomicBool>) -> Result<(), String> {
    let config = hookward::internal::engine(&hooks).config();
    let admin_addr = args.admin.unwrap_or(config.admin.listen);
    if config.admin.token.is_none() && !admin_addr.ip().is_loopback() {
        return Err(format!(
            "--admin {admin_addr} is open to other machines and there is no token; set `admin: {{ token: \"${{HOOKWARD_ADMIN_TOKEN}}\" }}` in {}",
            config.file.display()
        ));
    }
    raise_file_limit();
    let ingress = bind(args.listen.unwrap_or(config.server.listen))?;
    let admin = bind(admin_addr)?;
    if config.admin.token.is_none() {
        tracing::info!("the admin port has no token: it serves this machine only");
    }
    let (at, admin_at) = (local(&ingress)?, local(&admin)?);
    // Whoever reads these lines may send a signal at once.
    tokio::spawn(watch_reload(hooks.clone()));
    let stop = stop();
    let scheme = if config.server.tls.is_some() { "https" } else { "http" };
    output::line(format!("listening on {scheme}://{at}"));
    output::line(format!("admin on http://{admin_at}"));
    let router = hooks.admin();
    let admin = tokio::spawn(async move { serve(admin, router, std::future::pending()).await });
    let running = hooks.clone();
    let end = async move {
        tokio::select! {
            () = stop => {}
            () = running.store_failed() => lost.store(true, Ordering::Relaxed),
        }
    };
    let served = serve(ingress, hooks.standalone(), end).with(hooks).await;
    // The admin port answers until the end: `readyz` tells that the server is draining.
    admin.abort();
    served.map_err(|e| e.to_string())
}

/// The first signal drains; a second one does not wait. That is safe: what was acknowledged is stored.
fn stop() -> impl Future<Output = ()> + Send + 'static {
    let first = shutdown_signal();
    async move {
        first.await;
        tracing::info!("stopping; a second signal ends it at once");
        tokio::spawn(async {
            shutdown_signal().await;
            std::process::exit(i32::from(WRONG));
        });
    }
}

fn bind(addr: SocketAddr) -> Result<TcpListener, String> {
    hookward::bind(addr).map_err(|e| format!("cannot listen on {addr}: {e}"))
}

fn local(listener: &TcpListener) -> Result<SocketAddr, String> {
    listener.local_addr().map_err(|e| e.to_string())
}
