//! JSON Schemas of events.
//!
//! A schema is compiled once, when the configuration is loaded. It fetches nothing, and its regular
//! expressions run in linear time, so that a body cannot make validation slow.

use std::fmt;

use jsonschema::{PatternOptions, Validator};
use serde_json::Value;

/// The maximum number of errors that are reported for one event.
const MAX_ERRORS: usize = 10;
/// The maximum length of one error text, in characters; a longer one is cut.
const MAX_ERROR_CHARS: usize = 300;
/// The maximum size of one compiled regular expression, in bytes.
const MAX_REGEX_BYTES: usize = 1 << 20;

/// A compiled JSON Schema of `schema:`.
pub struct EventSchema {
    name: String,
    validator: Validator,
}

impl EventSchema {
    /// Compiles a schema; `name` is the value of `schema:`, such as `builtin:stripe/charge`.
    ///
    /// # Errors
    /// Why it is not a usable JSON Schema: a reference out of the document, a pattern with
    /// look-around, an unknown type.
    pub fn compile(name: &str, schema: &Value) -> Result<Self, String> {
        let validator = jsonschema::options()
            .with_pattern_options(
                PatternOptions::regex().size_limit(MAX_REGEX_BYTES).dfa_size_limit(MAX_REGEX_BYTES),
            )
            .offline()
            .build(schema)
            .map_err(|e| truncate(&e.to_string()))?;
        Ok(Self { name: name.to_owned(), validator })
    }

    /// Validates a body. Returns nothing for a valid one, else up to ten errors, which name places
    /// and never quote the body: they are stored with the event and logged.
    pub fn errors(&self, event: &Value) -> Vec<String> {
        if self.validator.is_valid(event) {
            return Vec::new();
        }
        let mut errors = self.validator.iter_errors(event);
        let text = |e: jsonschema::ValidationError<'_>| {
            let at = e.instance_path().to_string();
            let at = if at.is_empty() { "/".to_owned() } else { at };
            truncate(&format!("{at}: {}", e.masked()))
        };
        let mut texts: Vec<String> = errors.by_ref().take(MAX_ERRORS).map(text).collect();
        if errors.next().is_some() {
            texts.push("and more".to_owned());
        }
        texts
    }

    /// Returns the value of `schema:`.
    pub fn name(&self) -> &str {
        &self.name
    }
}

fn truncate(text: &str) -> String {
    match text.char_indices().nth(MAX_ERROR_CHARS) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
        None => text.to_owned(),
    }
}

impl fmt::Debug for EventSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EventSchema({})", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn errors_name_places_and_never_quote_the_body() {
        let schema = json!({"properties": {"a": {"type": "integer"}, "b": {"maxLength": 2}}, "required": ["c"]});
        let schema = EventSchema::compile("s", &schema).unwrap();
        assert!(schema.errors(&json!({"c": 1})).is_empty());
        let errors = schema.errors(&json!({"a": "hunter2", "b": "hunter2"}));
        assert_eq!(errors.len(), 3);
        assert!(errors.iter().any(|e| e.starts_with("/a: ")));
        assert!(!errors.concat().contains("hunter2"), "{errors:?}");
    }

    #[test]
    fn external_references_and_backtracking_patterns_are_errors() {
        for reference in ["https://example.com/x.json", "file:///etc/passwd"] {
            assert!(EventSchema::compile("s", &json!({"$ref": reference})).is_err());
        }
        assert!(EventSchema::compile("s", &json!({"pattern": "(?=a)b"})).is_err());
    }

    #[test]
    fn at_most_ten_errors_are_reported() {
        let schema = EventSchema::compile("s", &json!({"items": {"type": "integer"}})).unwrap();
        let errors = schema.errors(&Value::Array(vec![json!("x"); 1000]));
        assert_eq!(errors.len(), 11);
    }
}
