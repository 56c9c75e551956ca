//! The way through: from routes.yaml to a plan, from a request to an accepted event, from a job to
//! its end. No sockets and no SQL: the `hookward` crate serves it, store crates keep for it.
#![warn(missing_docs)]

pub mod accept;
pub mod config;
mod engine;
mod guard;
mod horizon;
pub mod memory;
pub mod operate;
pub mod plan;
pub mod routing;
pub mod telemetry;
pub mod work;

pub use engine::{Engine, ReloadError};
