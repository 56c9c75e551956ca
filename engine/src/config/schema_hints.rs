//! The phrases of messages about schema errors: nouns for types, hints about wrong types, and what
//! was found and is allowed where a value is out of bounds.

use jsonschema::error::ValidationErrorKind as ErrorKind;
use jsonschema::{JsonType, ValidationError};
use serde_json::Value;

/// The noun of the duration formats, whose numbers get a hint about units.
const DURATION: &str = "a duration";

/// What to do about a value of the wrong type.
pub(super) fn type_help(found: &Value, expected: &str, allowed: &[JsonType]) -> Option<String> {
    let help = match found {
        Value::Null => "write a value, or remove the key",
        Value::Number(n) if expected == DURATION => {
            return Some(format!(
                "write the number with a unit, such as `{n}s`; allowed units: ms, s, m, h and d"
            ));
        }
        Value::Number(_) | Value::Bool(_) if expected.starts_with("text") => {
            "put it in quotes if it is meant as text"
        }
        Value::Array(_) | Value::Object(_) => return None,
        Value::String(_) if allowed.contains(&JsonType::Boolean) => {
            "write `true` or `false`, without quotes"
        }
        Value::String(t) if t.parse::<f64>().is_ok() => "write the number without quotes",
        _ if allowed.contains(&JsonType::Array) => "put it in a list, in [ ] or after `- `",
        _ => return None,
    };
    Some(help.to_owned())
}

/// Describes a value outside of its bounds: what was found, as "is 0", and what is allowed.
pub(super) fn describe_bounds(error: &ValidationError<'_>, found: &str) -> (String, String) {
    let number = |limit: &Value| limit.as_f64().map_or(limit.to_string(), |n| n.to_string());
    let is_found = format!("is {found}");
    match error.kind() {
        ErrorKind::Minimum { limit } => (is_found, format!("must be at least {}", number(limit))),
        ErrorKind::Maximum { limit } => (is_found, format!("must be at most {}", number(limit))),
        ErrorKind::ExclusiveMinimum { limit } => {
            (is_found, format!("must be above {}", number(limit)))
        }
        ErrorKind::ExclusiveMaximum { limit } => {
            (is_found, format!("must be below {}", number(limit)))
        }
        ErrorKind::MinLength { limit: 1 } => ("is empty".into(), "must not be empty".into()),
        ErrorKind::MinItems { limit: 1 } | ErrorKind::MinProperties { limit: 1 } => {
            ("is empty".into(), "must have at least one".into())
        }
        ErrorKind::MinItems { limit }
        | ErrorKind::MinLength { limit }
        | ErrorKind::MinProperties { limit } => {
            ("is too short".into(), format!("must have at least {limit}"))
        }
        ErrorKind::MaxItems { limit }
        | ErrorKind::MaxLength { limit }
        | ErrorKind::MaxProperties { limit } => {
            ("is too long".into(), format!("must have at most {limit}"))
        }
        ErrorKind::UniqueItems => ("has a repeated item".into(), "items must be unique".into()),
        ErrorKind::Pattern { pattern } => {
            (is_found, format!("must match the regular expression `{pattern}`"))
        }
        _ => (format!("is not allowed: {}", error.masked()), "not allowed".into()),
    }
}

/// The noun for a JSON type, such as "a list".
pub(super) fn type_noun(kind: JsonType) -> &'static str {
    match kind {
        JsonType::Null => "nothing",
        JsonType::Boolean => "true or false",
        JsonType::Integer => "a whole number",
        JsonType::Number => "a number",
        JsonType::String => "text",
        JsonType::Array => "a list",
        JsonType::Object => "a mapping",
    }
}
