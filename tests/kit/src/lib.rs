//! For authors of providers, handlers and stores: conformance suites whose promises have numbers,
//! signers, a recorder, a clock that a test sets.

pub mod clock;
pub mod handler;
pub mod provider;
pub mod store;

pub use hookward_vectors as vectors;
