//! hookward-testkit

pub mod handler;
