//! What a caller gives to the loader.

use std::collections::BTreeMap;
use std::sync::Arc;

use hookward_core::plugin::Registry;
use hookward_core::{Handler, Timestamp};

use super::environment::Environment;

/// Everything outside the file that a configuration may refer to.
#[derive(Clone, Copy)]
pub struct LoadCx<'a> {
    /// The plugins linked into this program.
    pub registry: &'a Registry,
    /// The source of variables and files.
    pub environment: &'a dyn Environment,
    /// The JSON Schemas for `schema: builtin:NAME`, as pairs of name and text.
    pub builtin_schemas: &'a [(&'static str, &'static str)],
    /// The handlers that the app itself brings as functions, by name.
    pub handlers: &'a BTreeMap<String, Arc<dyn Handler>>,
    /// The present time, which decides whether secrets and certificates have expired.
    pub now: Timestamp,
}
