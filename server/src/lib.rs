//! Hookward receives webhooks inside your app: it verifies who sent each one, stores it exactly
//! once, answers in milliseconds, and runs the handlers that routes.yaml names until the event is
//! done or in the dead letters.
//!
//! An app embeds it in three steps: build an [`App`] from a routes.yaml, merge its
//! [`router`](Hooks::router) into the app's router, and [`serve`] both.
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
//!
//! | to | see |
//! | --- | --- |
//! | write a handler as a function | [`HandlerFn`], [`Payload`] |
//! | choose plugins, environment, clock, metrics | [`App`] |
//! | serve, reload, stop | [`Hooks`], [`serve()`], [`watch_reload`] |
//! | write a provider, handler or store as a crate | the crate `hookward-core` |
#![warn(missing_docs)]

pub mod admin;
mod app;
mod body;
mod body_memory;
mod connection_table;
mod error_rewrite;
mod fd_limit;
mod fn_handler;
mod framing;
mod head_reader;
mod head_validation;
mod hooks;
mod http2_rejection;
mod ingress;
#[doc(hidden)]
pub mod internal;
mod keys;
mod listener;
mod loader;
mod metrics;
mod peer_certificate;
mod prefixed_io;
mod response;
mod shared;
mod signals;
mod socket;
mod telemetry;
mod tls;
mod tracked_body;

pub use app::{App, AppError, BuildAppError};
pub use fd_limit::raise_file_limit;
pub use fn_handler::{HandlerFn, IntoFlow, Payload};
pub use hooks::Hooks;
pub use keys::NetworkKeys;
pub use listener::{Limits, Serve, bind, serve};
pub use metrics::Metrics;
pub use signals::{shutdown_signal, watch_reload};

pub use hookward_core::{
    Clock, Event, EventId, Flow, Handler, HandlerCx, HandlerError, KeySource, Provider, Store,
    Timestamp, plugin,
};
pub use hookward_engine::config::{Diagnostics, Environment, SystemEnvironment};
