//! What the fuzz targets do, as plain functions of bytes. `fuzz_targets/` hands them to libFuzzer; the
//! workspace's own tests take this file in and run every seed through them.
//!
//! A target takes anything and ends. It panics where something that must hold does not.

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

/// What a target does with an input.
pub type Target = fn(&[u8]);

/// Every target by its name, which is that of its file and of its folder of seeds.
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

/// Runs a target; whoever misspells it is told.
pub fn run(target: &str, data: &[u8]) {
    match TARGETS.iter().find(|(name, _)| *name == target) {
        Some((_, run)) => run(data),
        None => panic!("there is no target {target}"),
    }
}

/// How many ways of signing are linked.
pub fn senders() -> usize {
    senders::all().len()
}
