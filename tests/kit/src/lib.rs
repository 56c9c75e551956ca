//! hookward-testkit

pub mod handler;
pub mod provider;
pub mod store;
