//! What the modules of the compile stage share: the document, the plugins, and the values that are
//! free of errors.

use std::path::Path;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::config::document::{Document, Location};
use crate::config::load_cx::LoadCx;

/// The context of the compile stage.
pub(super) struct CompileCx<'a> {
    pub(super) document: &'a mut Document,
    pub(super) load: &'a LoadCx<'a>,
    /// The folder at which relative paths start.
    pub(super) base_dir: &'a Path,
    /// The document's value without the places that earlier stages reported.
    pub(super) valid: Value,
}

impl CompileCx<'_> {
    /// Decodes the block at a pointer. Returns the empty block where it is missing or was reported,
    /// so that the stage goes on and finds the mistakes of the other blocks.
    pub(super) fn decode<T: DeserializeOwned + Default>(&mut self, at: &str) -> T {
        let Some(value) = self.valid.pointer(at).filter(|v| !v.is_null()).cloned() else {
            return T::default();
        };
        serde_json::from_value(value).unwrap_or_else(|e| {
            self.document.error(Location::Key(at), e.to_string());
            self.document.mark_error(at);
            T::default()
        })
    }

    /// The keys of the mapping at a pointer; none where there is no mapping.
    pub(super) fn keys(&self, at: &str) -> Vec<String> {
        let map = self.document.value.pointer(at).and_then(Value::as_object);
        map.map(|m| m.keys().cloned().collect()).unwrap_or_default()
    }

    /// The number of items of the list at a pointer; 0 where there is no list.
    pub(super) fn list_len(&self, at: &str) -> usize {
        self.document.value.pointer(at).and_then(Value::as_array).map_or(0, Vec::len)
    }

    /// Whether something is written at a pointer.
    pub(super) fn contains(&self, at: &str) -> bool {
        self.document.value.pointer(at).is_some()
    }
}
