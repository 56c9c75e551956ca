//! Tests for authors of providers, handlers and stores.
//!
//! * [`provider::Subject`] checks a provider against `docs/spec/provider.md`, PROVIDER-1 to PROVIDER-19, and
//!   [`provider::run_vectors`] runs recorded requests.
//! * [`handler_suite!`] checks a handler against `docs/spec/handler.md`, HANDLER-1 to HANDLER-8.
//! * [`store_suite!`] checks a store against `docs/spec/store.md`, STORE-1 to STORE-33, and
//!   [`store::model`] compares it with a model of the contract over random sequences of calls.
//! * [`handler::Recorder`] and [`clock::FakeClock`] stand in for a handler and a clock.
//!
//! A failing test prints the number and the sentence of the rule that is broken; [`spec`] has them all.

pub mod clock;
pub mod handler;
pub mod provider;
pub mod spec;
pub mod store;

pub use hookward_vectors as vectors;
