//! `json:` of a source: how its bodies are read.

use hookward_core::{DuplicateKeys, JsonOptions, Provider};

use crate::config::raw_config;

/// Compiles `json:`. Without `form_field`, that of the provider.
pub(super) fn json_options(raw: raw_config::SourceJson, provider: &dyn Provider) -> JsonOptions {
    let duplicate_keys = match raw.duplicate_keys {
        Some(raw_config::DuplicateKeys::Last) => DuplicateKeys::Last,
        Some(raw_config::DuplicateKeys::Reject) | None => DuplicateKeys::Reject,
    };
    let form_field = raw.form_field.as_deref().or_else(|| provider.form_json_field());
    JsonOptions::new()
        .with_duplicate_keys(duplicate_keys)
        .with_form_field(form_field.map(std::sync::Arc::from))
}
