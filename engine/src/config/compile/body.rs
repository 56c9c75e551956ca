//! `json:` and `decompress:` of a source: how its bodies are read.

use hookward_core::{ContentEncoding, DuplicateKeys, JsonOptions, Provider};

use crate::compiled::Decompress;
use crate::config::raw_config;

/// Compiles `decompress:`.
pub(super) fn decompress(raw: raw_config::Decompress) -> Decompress {
    let encoding = |raw| match raw {
        raw_config::ContentEncoding::Gzip => ContentEncoding::Gzip,
        raw_config::ContentEncoding::Deflate => ContentEncoding::Deflate,
    };
    Decompress {
        encodings: raw.encodings.into_iter().flatten().flatten().map(encoding).collect(),
        signs_content: matches!(raw.signed, Some(raw_config::SignedForm::Decompressed)),
    }
}

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
