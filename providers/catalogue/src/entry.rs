//! A data file, read: what the descriptors' `fn` pointers call, and what the page of senders is made of.

use std::collections::BTreeMap;
use std::sync::Arc;

use hookward_core::Provider;
use hookward_core::plugin::{BuildError, decode};
use hookward_core::scheme::Scheme;
use serde::Deserialize;
use serde_json::{Value, json};

/// One sender. The build script reads the rest of its descriptor from the same keys.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The word in `provider:`.
    pub name: String,
    /// What the sender calls itself.
    pub title: String,
    /// One line for `hookward plugins`.
    pub summary: String,
    /// The sender's own page on it, where one is known.
    #[serde(default)]
    pub source: Option<String>,
    /// How it signs, in the scheme grammar.
    #[serde(default)]
    pub scheme: Option<Value>,
    /// How it signs, by the word in `with: { scheme: … }`, where there are several ways.
    #[serde(default)]
    pub schemes: BTreeMap<String, Value>,
    /// The way that is taken without that word.
    #[serde(default)]
    pub default: Option<String>,
    /// The methods that it uses; without this key POST alone.
    #[serde(default)]
    pub methods: Vec<String>,
    /// The media types that it uses; without this key any.
    #[serde(default)]
    pub media_types: Vec<String>,
    /// Headers worth keeping with an event, lower-case.
    #[serde(default)]
    pub keep_headers: Vec<String>,
    /// Events for `hookward send`: `event_type`, `id_prefix`, `body`.
    pub samples: Vec<Value>,
    /// What the signature does not cover, and what else to know.
    pub notes: String,
}

/// The `with:` block of a sender that signs in one way.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

/// The `with:` block of one that signs in several.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Choice {
    #[serde(default)]
    scheme: Option<String>,
}

impl Entry {
    /// Reads a data file.
    ///
    /// # Errors
    /// Where it is not one.
    pub fn from_json(text: &str) -> Result<Self, BuildError> {
        serde_json::from_str(text).map_err(|e| BuildError::at("", format!("data file: {e}")))
    }

    /// The ways in which it signs, with the word for each, the default first.
    pub fn ways(&self) -> Vec<(&str, &Value)> {
        let one = self.scheme.iter().map(|scheme| ("", scheme));
        let mut all: Vec<_> =
            one.chain(self.schemes.iter().map(|(id, scheme)| (id.as_str(), scheme))).collect();
        all.sort_by_key(|(id, _)| self.default.as_deref() != Some(id));
        all
    }

    /// The one that a `with:` block chooses.
    fn chosen(&self, with: Value) -> Result<&Value, BuildError> {
        let id = if self.schemes.is_empty() {
            decode::<Nothing>(with)?;
            None
        } else {
            decode::<Choice>(with)?.scheme
        };
        let ways = self.ways();
        let found = match &id {
            None => ways.first(),
            Some(id) => ways.iter().find(|(other, _)| other == id),
        };
        found.map(|(_, scheme)| *scheme).ok_or_else(|| {
            let known: Vec<_> = ways.iter().map(|(id, _)| format!("`{id}`")).collect();
            let id = id.unwrap_or_default();
            BuildError::at("/scheme", format!("`{id}` is no scheme of `{}`", self.name))
                .help(format!("write one of {}", known.join(", ")))
        })
    }
}

/// The provider.
pub(crate) fn build(text: &str, with: Value) -> Result<Arc<dyn Provider>, BuildError> {
    let entry = Entry::from_json(text)?;
    let scheme = entry.chosen(with)?.clone();
    let scheme: Scheme = serde_json::from_value(scheme)
        .map_err(|e| BuildError::at("", format!("data file: {e}")))?;
    Ok(Arc::new(scheme.compile()?))
}

/// How it signs with this `with:` block.
pub(crate) fn scheme(text: &str, with: &Value) -> Option<Value> {
    Entry::from_json(text).ok()?.chosen(with.clone()).ok().cloned()
}

/// The JSON Schema of the `with:` block.
pub(crate) fn schema(text: &str) -> Value {
    let entry = Entry::from_json(text).ok();
    let ways = entry.as_ref().map(Entry::ways).unwrap_or_default();
    let ids: Vec<_> = ways.iter().map(|(id, _)| *id).filter(|id| !id.is_empty()).collect();
    if ids.is_empty() {
        return json!({
            "type": "object", "additionalProperties": false,
            "description": "The `with:` block: there is nothing to choose.",
        });
    }
    json!({
        "type": "object", "additionalProperties": false,
        "description": "The `with:` block.",
        "properties": { "scheme": {
            "description": "Which of the sender's ways of signing.",
            "type": "string", "enum": ids, "default": ids.first(),
        } },
    })
}
