//! Senders whose way of signing is data: one file in `data/` says how one sender signs and names its
//! events, what it sends, and what its signature leaves open. Adding a sender is adding a file and
//! its vectors; there is no code for it.
//!
//! `docs/providers.md` is made from the same files.
#![warn(missing_docs)]

mod entry;

pub use entry::Entry;

const ORIGIN: hookward_core::plugin::Origin = hookward_core::plugin::Origin {
    crate_name: env!("CARGO_PKG_NAME"),
    version: env!("CARGO_PKG_VERSION"),
};

include!(concat!(env!("OUT_DIR"), "/catalogue.rs"));
