//! The fuzz targets as plain functions of bytes. `fuzz_targets/` passes them to libFuzzer, and
//! `tests/e2e/corpus.rs` compiles this file and runs every seed through them on a stable toolchain.
//!
//! A target accepts any bytes and returns. It panics if an invariant does not hold. The
//! documentation of each module says how the bytes are divided; the assertions are the invariants.

mod config;
mod forge;
mod form;
mod forwarded;
mod http_file;
mod identify;
mod input;
mod json;
mod keys;
mod prove;
mod records;
mod routing;
mod scheme;
mod senders;
mod signature;
mod store;
mod units;

#[path = "../../cli/src/plugins.rs"]
mod plugins;

/// A target: runs one input, and panics if an invariant does not hold.
pub type Target = fn(&[u8]);

/// All targets by name, which is also the name of the target's file and of its folder of seeds.
pub const TARGETS: &[(&str, Target)] = &[
    ("condition", routing::condition),
    ("config", config::run),
    ("forge", forge::run),
    ("form", form::run),
    ("forwarded", forwarded::run),
    ("globs", routing::globs),
    ("http_file", http_file::run),
    ("identify", identify::run),
    ("json", json::run),
    ("keys", keys::run),
    ("pattern", routing::pattern),
    ("prove", prove::run),
    ("records", records::run),
    ("scheme", scheme::run),
    ("signature", signature::run),
    ("store", store::run),
    ("units", units::run),
    ("vectors", records::vectors),
];

/// Runs the target of this name.
///
/// # Panics
/// If there is no such target, or an invariant does not hold.
pub fn run(target: &str, data: &[u8]) {
    match TARGETS.iter().find(|(name, _)| *name == target) {
        Some((_, run)) => run(data),
        None => panic!("there is no target `{target}`; `TARGETS` lists them"),
    }
}

/// Returns the number of signing variants of all linked providers.
pub fn sender_count() -> usize {
    senders::all().len()
}
