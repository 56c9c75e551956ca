//! The last gates: decode each part on its own, build its plugins, cross-check, and make the configuration.
//! What an earlier gate reported is passed over in silence.

mod chain;
mod plugin;
mod routes;
mod schema_file;
mod settings;
mod sources;
mod tls;
mod unreachable_routes;

use std::path::Path;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::LoadCx;
use super::document::{Doc, Location};
use crate::compiled::{CompiledConfig, RouteTable};

/// What every part needs.
struct Gate<'a> {
    doc: &'a mut Doc,
    cx: &'a LoadCx<'a>,
    base_dir: &'a Path,
    /// The value without what was reported.
    sound: Value,
    /// The long form before anything was filled in.
    written: &'a Value,
}

/// Makes the configuration; `None` where any gate found an error.
pub(super) fn compile(
    doc: &mut Doc,
    cx: &LoadCx<'_>,
    file: &Path,
    base_dir: &Path,
    written: &Value,
) -> Option<CompiledConfig> {
    let sound = doc.sound();
    let mut gate = Gate { doc, cx, base_dir, sound, written };
    let defaults = settings::defaults(&mut gate);
    let server = settings::server(&mut gate);
    let admin = settings::admin(&mut gate);
    let store = settings::store(&mut gate);
    let (sources, paths) = sources::sources(&mut gate, &defaults, &server);
    let (routes, in_order) = routes::routes(&mut gate, &defaults);
    if gate.doc.failed() {
        return None;
    }
    Some(CompiledConfig {
        file: file.to_owned(),
        base_dir: base_dir.to_owned(),
        store: store?,
        server,
        admin,
        retention: defaults.retention,
        sources,
        sources_by_path: paths,
        route_table: RouteTable::new(&in_order),
        routes,
    })
}

impl Gate<'_> {
    /// Decodes the part at a pointer; where that fails, or there is none, the empty part.
    fn decode<T: DeserializeOwned + Default>(&mut self, at: &str) -> T {
        let Some(value) = self.sound.pointer(at).filter(|v| !v.is_null()).cloned() else {
            return T::default();
        };
        serde_json::from_value(value).unwrap_or_else(|e| {
            self.doc.error(Location::Key(at), e.to_string());
            self.doc.poison(at);
            T::default()
        })
    }

    /// The names of what is at a pointer.
    fn keys(&self, at: &str) -> Vec<String> {
        let map = self.doc.value.pointer(at).and_then(Value::as_object);
        map.map(|m| m.keys().cloned().collect()).unwrap_or_default()
    }

    /// How many items the list at a pointer has.
    fn len(&self, at: &str) -> usize {
        self.doc.value.pointer(at).and_then(Value::as_array).map_or(0, Vec::len)
    }

    /// Whether something is written at a pointer.
    fn has(&self, at: &str) -> bool {
        self.doc.value.pointer(at).is_some()
    }
}

fn name(text: &str) -> Arc<str> {
    Arc::from(text)
}
