//! The shape gate: holds a part of the configuration against a JSON Schema and reports every place
//! that does not fit. Used for the whole file and for each plugin's `with:` block.

use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::{JsonType, PatternOptions, ValidationError, Validator};
use serde_json::{Number, Value};

use super::document::Doc;
use super::{scalars, schema_errors};

/// Checks what is at `base`.
pub(super) fn check(doc: &mut Doc, schema: &Value, base: &str) {
    let Some(mut instance) = doc.value.pointer(base).cloned() else { return };
    let Some(validator) = validator(schema) else { return };
    let mut errors = errors(&validator, &instance);
    if convert(doc, base, &errors) {
        instance = doc.value.pointer(base).cloned().unwrap_or_default();
        errors = self::errors(&validator, &instance);
    }
    // A misspelled key explains a missing one, so it comes first.
    errors.sort_by_key(|e| matches!(e.kind(), ValidationErrorKind::Required { .. }));
    for error in errors {
        schema_errors::report(doc, schema, base, &error);
    }
}

fn validator(schema: &Value) -> Option<Validator> {
    let mut options = jsonschema::options()
        .with_pattern_options(PatternOptions::regex().size_limit(1 << 20).dfa_size_limit(1 << 20))
        .should_validate_formats(true)
        .offline();
    for format in scalars::FORMATS {
        options = options.with_format(format.name, |text: &str| (format.check)(text).is_ok());
    }
    // A plugin whose schema is itself wrong still decodes its block strictly.
    options.build(schema).ok()
}

fn errors(validator: &Validator, instance: &Value) -> Vec<ValidationError<'static>> {
    validator.iter_errors(instance).map(ValidationError::to_owned).collect()
}

/// A variable is text; where a number or a boolean is wanted, what it holds is read as one.
fn convert(doc: &mut Doc, base: &str, errors: &[ValidationError<'_>]) -> bool {
    let mut any = false;
    for error in errors {
        let ValidationErrorKind::Type { kind } = error.kind() else { continue };
        let at = format!("{base}{}", error.instance_path());
        let Some(text) = error.instance().as_str().filter(|_| doc.filled.contains_key(&at)) else {
            continue;
        };
        if let (Some(value), Some(place)) = (read(text, kind), doc.value.pointer_mut(&at)) {
            *place = value;
            any = true;
        }
    }
    any
}

fn read(text: &str, kind: &TypeKind) -> Option<Value> {
    types(kind).into_iter().find_map(|wanted| match wanted {
        JsonType::Integer => text.parse::<i64>().ok().map(Value::from),
        JsonType::Number => text.parse().ok().and_then(Number::from_f64).map(Value::Number),
        JsonType::Boolean => text.parse::<bool>().ok().map(Value::Bool),
        _ => None,
    })
}

/// The types that are allowed.
pub(super) fn types(kind: &TypeKind) -> Vec<JsonType> {
    match kind {
        TypeKind::Single(one) => vec![*one],
        TypeKind::Multiple(several) => several.into_iter().collect(),
    }
}
