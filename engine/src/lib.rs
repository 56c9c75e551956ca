//! The way through: from routes.yaml to a configuration, from a request to an accepted event, from a job to
//! its end. No sockets and no SQL: the `hookward` crate serves it, store crates keep for it.
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
pub mod telemetry;
pub mod worker;

pub use engine::{Engine, ReloadError};
