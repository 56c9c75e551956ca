//! Parses a data file. The `fn` pointers of the descriptors call this module, and the page of
//! senders is generated from its entries.

use std::collections::BTreeMap;
use std::sync::Arc;

use hookward_core::Provider;
use hookward_core::plugin::{BuildError, decode};
use hookward_core::scheme::Scheme;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::provider::DataProvider;

/// Description of one sender, from its data file. The build script makes the descriptor from the
/// same keys.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The name of the provider: the value of `provider:`.
    pub name: String,
    /// The sender's own name, for a heading.
    pub title: String,
    /// One line about the sender, for `hookward plugins`.
    pub summary: String,
    /// URL of the sender's own page on signatures, if one is known.
    #[serde(default)]
    pub source: Option<String>,
    /// How the sender signs, in the scheme grammar.
    #[serde(default)]
    pub scheme: Option<Value>,
    /// Several schemes, each under the value of `with: { scheme: … }` that selects it.
    #[serde(default)]
    pub schemes: BTreeMap<String, Value>,
    /// Name of the scheme that is used without that key.
    #[serde(default)]
    pub default: Option<String>,
    /// HTTP methods that the sender uses; without this key POST only.
    #[serde(default)]
    pub methods: Vec<String>,
    /// Media types that the sender uses; without this key any.
    #[serde(default)]
    pub media_types: Vec<String>,
    /// Headers that are stored with an event, in lower case.
    #[serde(default)]
    pub keep_headers: Vec<String>,
    /// What the sender does with the answer.
    pub answer: Answer,
    /// The request by which the sender tries a URL without a signature, if it does so.
    #[serde(default)]
    pub probe: Option<Probe>,
    /// Events for `hookward send`: `event_type`, `id_prefix`, `body`.
    pub samples: Vec<Value>,
    /// What the signature does not cover, and what else to know.
    pub notes: String,
}

/// What the sender does with the answer.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// What the sender does with the status and the body, in a sentence or two.
    pub notes: String,
    /// URL of the sender's page that says so, if one is known.
    #[serde(default)]
    pub source: Option<String>,
    /// Whether the answer is an empty 200, for senders that read the body. Otherwise it is the
    /// default JSON.
    #[serde(default)]
    pub empty: bool,
}

/// A request without a signature by which a sender tries a URL. It is answered with an empty 200,
/// and nothing is stored. All members that are present must fit.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Probe {
    /// Name and value of a header.
    #[serde(default)]
    pub header: Option<(String, String)>,
    /// The only field of a form body; its value is a number.
    #[serde(default)]
    pub form_number: Option<String>,
    /// The JSON body.
    #[serde(default)]
    pub json: Option<Value>,
}

/// The `with:` block of a sender with one scheme: it has no keys.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NoSettings {}

/// The `with:` block of a sender with several schemes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SchemeChoice {
    #[serde(default)]
    scheme: Option<String>,
}

impl Entry {
    /// Parses a data file.
    ///
    /// # Errors
    /// If the text is not a data file.
    pub fn from_json(text: &str) -> Result<Self, BuildError> {
        serde_json::from_str(text).map_err(|e| BuildError::at("", format!("data file: {e}")))
    }

    /// Returns the schemes of the sender with their names, the default first. An only scheme has
    /// the empty name.
    pub fn named_schemes(&self) -> Vec<(&str, &Value)> {
        let one = self.scheme.iter().map(|scheme| ("", scheme));
        let mut all: Vec<_> =
            one.chain(self.schemes.iter().map(|(id, scheme)| (id.as_str(), scheme))).collect();
        all.sort_by_key(|(id, _)| self.default.as_deref() != Some(id));
        all
    }

    /// Returns the scheme that a `with:` block selects.
    fn selected_scheme(&self, with: Value) -> Result<&Value, BuildError> {
        let id = if self.schemes.is_empty() {
            decode::<NoSettings>(with)?;
            None
        } else {
            decode::<SchemeChoice>(with)?.scheme
        };
        let schemes = self.named_schemes();
        let found = match &id {
            None => schemes.first(),
            Some(id) => schemes.iter().find(|(other, _)| other == id),
        };
        found.map(|(_, scheme)| *scheme).ok_or_else(|| {
            let known: Vec<_> = schemes.iter().map(|(id, _)| format!("`{id}`")).collect();
            let id = id.unwrap_or_default();
            BuildError::at("/scheme", format!("`{id}` is not a scheme of `{}`", self.name))
                .help(format!("write one of {}", known.join(", ")))
        })
    }
}

/// Builds the provider of a data file.
pub(crate) fn build(text: &str, with: Value) -> Result<Arc<dyn Provider>, BuildError> {
    let entry = Entry::from_json(text)?;
    let scheme = entry.selected_scheme(with)?.clone();
    let scheme: Scheme = serde_json::from_value(scheme)
        .map_err(|e| BuildError::at("", format!("data file: {e}")))?;
    let signature_header = scheme.signature.name.to_ascii_lowercase();
    Ok(Arc::new(DataProvider {
        scheme: scheme.compile()?,
        signature_header,
        probe: entry.probe,
        answers_head: entry.methods.iter().any(|method| method == "HEAD"),
        empty_answer: entry.answer.empty,
    }))
}

/// Returns the scheme that a `with:` block selects, in the scheme grammar.
pub(crate) fn scheme(text: &str, with: &Value) -> Option<Value> {
    Entry::from_json(text).ok()?.selected_scheme(with.clone()).ok().cloned()
}

/// Returns the JSON Schema of the `with:` block.
pub(crate) fn schema(text: &str) -> Value {
    let entry = Entry::from_json(text).ok();
    let schemes = entry.as_ref().map(Entry::named_schemes).unwrap_or_default();
    let ids: Vec<_> = schemes.iter().map(|(id, _)| *id).filter(|id| !id.is_empty()).collect();
    if ids.is_empty() {
        return json!({
            "type": "object", "additionalProperties": false,
            "description": "Settings of the provider: its `with:` block has no keys.",
        });
    }
    json!({
        "type": "object", "additionalProperties": false,
        "description": "Settings of the provider: the keys of its `with:` block.",
        "properties": { "scheme": {
            "description": "Which of the sender's signature schemes is verified.",
            "type": "string", "enum": ids, "default": ids.first(),
        } },
    })
}
