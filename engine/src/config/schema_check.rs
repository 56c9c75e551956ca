//! Checks a part of the document against a JSON Schema and reports every place that does not
//! conform. Used for the whole file, and for the `with:` block of each plugin.

use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::{JsonType, PatternOptions, ValidationError, Validator};
use serde_json::{Number, Value};

use super::document::Document;
use super::scalars;
use super::schema_errors::{self, allowed_types};

/// The maximum size of one compiled regular expression of a plugin's schema, in bytes.
const MAX_REGEX_BYTES: usize = 1 << 20;

/// Checks the value at the pointer `base`.
pub(super) fn check(document: &mut Document, schema: &Value, base: &str) {
    let Some(mut instance) = document.value.pointer(base).cloned() else { return };
    let Some(validator) = validator(schema) else { return };
    let mut errors = validate(&validator, &instance);
    if convert_filled_texts(document, base, &errors) {
        instance = document.value.pointer(base).cloned().unwrap_or_default();
        errors = validate(&validator, &instance);
    }
    // A misspelled key is reported before the key that is missing because of it, and marks that
    // place, so that the mistake gives one message.
    errors.sort_by_key(|e| matches!(e.kind(), ValidationErrorKind::Required { .. }));
    for error in errors {
        schema_errors::report(document, schema, base, &error);
    }
}

/// Builds a validator that fetches nothing and whose patterns run in linear time.
fn validator(schema: &Value) -> Option<Validator> {
    let patterns =
        PatternOptions::regex().size_limit(MAX_REGEX_BYTES).dfa_size_limit(MAX_REGEX_BYTES);
    let mut options = jsonschema::options()
        .with_pattern_options(patterns)
        .should_validate_formats(true)
        .offline();
    for format in scalars::FORMATS {
        options = options.with_format(format.name, |text: &str| (format.check)(text).is_ok());
    }
    // A plugin whose schema is invalid is left to its own decoding, which is strict as well.
    options.build(schema).ok()
}

fn validate(validator: &Validator, instance: &Value) -> Vec<ValidationError<'static>> {
    validator.iter_errors(instance).map(ValidationError::to_owned).collect()
}

/// Converts texts that came from variables to numbers and booleans where the schema wants those:
/// the value of a variable is always text. Returns whether it converted any.
fn convert_filled_texts(
    document: &mut Document,
    base: &str,
    errors: &[ValidationError<'_>],
) -> bool {
    let mut converted_any = false;
    for error in errors {
        let ValidationErrorKind::Type { kind } = error.kind() else { continue };
        let at = format!("{base}{}", error.instance_path());
        let text = error.instance().as_str().filter(|_| document.filled.contains_key(&at));
        let Some(text) = text else { continue };
        if let (Some(value), Some(place)) = (convert(text, kind), document.value.pointer_mut(&at)) {
            *place = value;
            converted_any = true;
        }
    }
    converted_any
}

fn convert(text: &str, kind: &TypeKind) -> Option<Value> {
    allowed_types(kind).into_iter().find_map(|wanted| match wanted {
        JsonType::Integer => text.parse::<i64>().ok().map(Value::from),
        JsonType::Number => text.parse().ok().and_then(Number::from_f64).map(Value::Number),
        JsonType::Boolean => text.parse::<bool>().ok().map(Value::Bool),
        _ => None,
    })
}
