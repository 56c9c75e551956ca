//! Hookward receives webhooks: it proves who sent them, keeps each one safely exactly once, answers
//! in milliseconds, and routes every event through a chain of handlers until it is done or in the
//! dead-letter queue.
//!
//! An app embeds it in three lines: build an [`App`] from a routes.yaml, merge its
//! [`router`](Hooks::router) into yours, and [`serve`].
//!
//! ```no_run
//! use hookward::{App, HandlerCx, HandlerError, Payload};
//! # #[derive(serde::Deserialize)] struct Order { id: String }
//! # async fn example(listener: tokio::net::TcpListener) -> Result<(), Box<dyn std::error::Error>> {
//! let hooks = App::from_file("routes.yaml")?
//!     .handler("fulfil_order", |order: Payload<Order>, cx: HandlerCx| async move {
//!         println!("{}: {}", cx.idempotency_key(), order.id);
//!         Ok::<_, HandlerError>(())
//!     })
//!     .build()
//!     .await?;
//! let app = axum::Router::new().merge(hooks.router());
//! hookward::serve(listener, app, hookward::shutdown_signal()).with(hooks).await?;
//! # Ok(()) }
//! ```
#![warn(missing_docs)]

pub mod admin;
mod app;
mod body;
mod error_rewrite;
mod fd_limit;
mod fn_handler;
mod head_reader;
mod head_validation;
mod hooks;
mod ingress;
mod keys;
mod listener;
mod metrics;
mod prefixed_io;
mod signals;
mod socket;
mod tls;

pub use app::{App, AppError, BuildAppError};
pub use fd_limit::raise_file_limit;
pub use fn_handler::{HandlerFn, IntoFlow, Payload};
pub use hooks::Hooks;
pub use keys::NetworkKeys;
pub use listener::{Limits, Serve, bind, serve};
pub use metrics::Metrics;
pub use signals::{shutdown_signal, watch_reload};

pub use hookward_core::{
    Event, EventId, Flow, Handler, HandlerCx, HandlerError, KeySource, Provider, Store, Timestamp,
    plugin,
};
pub use hookward_engine::config::{Diagnostics, Environment, SystemEnvironment};
pub use hookward_engine::{Engine, ReloadError};
