//! Senders whose way of signing is data. One file in `data/` describes one sender: how it signs and
//! identifies its events, what it sends, and what its signature does not cover. To add a sender,
//! add a file and its vectors; it needs no code.
//!
//! `docs/providers.md` is generated from the same files.
#![warn(missing_docs)]

mod entry;
mod provider;

pub use entry::{Answer, Entry, Probe};

const ORIGIN: hookward_core::plugin::Origin =
    hookward_core::plugin::Origin::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));

include!(concat!(env!("OUT_DIR"), "/catalogue.rs"));
