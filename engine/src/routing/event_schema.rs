//! JSON Schemas of events: compiled once, offline, with regular expressions that run in linear time.

use std::fmt;

use jsonschema::{PatternOptions, Validator};
use serde_json::Value;

/// This many errors of one event are told; the rest is counted.
const MAX_ERRORS: usize = 10;
/// A longer error text is cut.
const MAX_TEXT: usize = 300;

/// A compiled schema.
pub struct EventSchema {
    name: String,
    validator: Validator,
}

impl EventSchema {
    /// Compiles a schema; `name` is what the operator calls it.
    pub fn compile(name: &str, schema: &Value) -> Result<Self, String> {
        let validator = jsonschema::options()
            .with_pattern_options(
                PatternOptions::regex().size_limit(1 << 20).dfa_size_limit(1 << 20),
            )
            .offline()
            .build(schema)
            .map_err(|e| cut(&e.to_string()))?;
        Ok(Self { name: name.to_owned(), validator })
    }

    /// What is wrong with an event: nothing, or up to ten texts that name places, not content.
    pub fn errors(&self, event: &Value) -> Vec<String> {
        if self.validator.is_valid(event) {
            return Vec::new();
        }
        let mut errors = self.validator.iter_errors(event);
        let text = |e: jsonschema::ValidationError<'_>| {
            let at = e.instance_path().to_string();
            let at = if at.is_empty() { "/".to_owned() } else { at };
            cut(&format!("{at}: {}", e.masked()))
        };
        let mut texts: Vec<String> = errors.by_ref().take(MAX_ERRORS).map(text).collect();
        if errors.next().is_some() {
            texts.push("and more".to_owned());
        }
        texts
    }

    /// What the operator calls it.
    pub fn name(&self) -> &str {
        &self.name
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(MAX_TEXT) {
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
    fn errors_name_places_and_not_content() {
        let schema = json!({"properties": {"a": {"type": "integer"}, "b": {"maxLength": 2}}, "required": ["c"]});
        let schema = EventSchema::compile("s", &schema).unwrap();
        assert!(schema.errors(&json!({"c": 1})).is_empty());
        let errors = schema.errors(&json!({"a": "hunter2", "b": "hunter2"}));
        assert_eq!(errors.len(), 3);
        assert!(errors.iter().any(|e| e.starts_with("/a: ")));
        assert!(!errors.concat().contains("hunter2"), "{errors:?}");
    }

    #[test]
    fn nothing_is_fetched_and_no_pattern_backtracks() {
        for reference in ["https://example.com/x.json", "file:///etc/passwd"] {
            assert!(EventSchema::compile("s", &json!({"$ref": reference})).is_err());
        }
        assert!(EventSchema::compile("s", &json!({"pattern": "(?=a)b"})).is_err());
    }

    #[test]
    fn at_most_ten_errors_are_told() {
        let schema = EventSchema::compile("s", &json!({"items": {"type": "integer"}})).unwrap();
        let errors = schema.errors(&Value::Array(vec![json!("x"); 1000]));
        assert_eq!(errors.len(), 11);
    }
}
