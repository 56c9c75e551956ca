//! The engine of Hookward: compiles routes.yaml into a configuration, takes requests through the
//! ingest pipeline into a store, and works on the jobs that are queued there.
//!
//! It has no sockets and no SQL: the `hookward` crate serves it over HTTP, store crates persist for
//! it.
#![warn(missing_docs)]

mod catch_panics;
pub mod compiled;
pub mod config;
mod engine;
pub mod ingest;
pub mod memory;
pub mod replay;
mod retention_clock;
pub mod routing;
mod run_state;
pub mod sender_ranges;
mod store_policy;
mod telemetry;
pub mod worker;

pub use engine::{Engine, ReloadError};
pub use store_policy::STORE_POLICY;
