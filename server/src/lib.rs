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

mod accept_loop;
pub mod admin;
mod app;
mod body;
mod descriptors;
mod first_head;
mod function;
mod hooks;
mod http_io;
mod ingress;
mod io;
mod keys;
mod lifecycle;
mod metrics;
mod own_answer;
mod strict;
mod tls;

pub use accept_loop::{Limits, Serve, bind, serve};
pub use app::{App, AppError, BuildAppError};
pub use descriptors::raise_file_limit;
pub use function::{HandlerFn, IntoFlow, Payload};
pub use hooks::Hooks;
pub use keys::NetworkKeys;
pub use lifecycle::{shutdown_signal, watch_reload};
pub use metrics::Metrics;

pub use hookward_core::{
    Event, EventId, Flow, Handler, HandlerCx, HandlerError, KeySource, Provider, Store, Timestamp,
    plugin,
};
pub use hookward_engine::config::{Diagnostics, Environment, SystemEnvironment};
pub use hookward_engine::{Engine, ReloadError};
