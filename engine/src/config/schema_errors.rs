//! Says what a JSON Schema error means for someone who wrote a configuration: what was found, what
//! is allowed, what to do.

use jsonschema::error::ValidationErrorKind as Kind;
use jsonschema::{JsonType, ValidationError};
use serde_json::Value;

use super::document::{Doc, Location};
use super::suggest::{listed, nearest};
use super::{key_docs, pointer, scalars, schema_check};

/// Reports one error of the part at `base`, and marks its place as reported.
pub(super) fn report(doc: &mut Doc, schema: &Value, base: &str, error: &ValidationError<'_>) {
    let at = format!("{base}{}", error.instance_path());
    if doc.is_lost(&at) {
        return;
    }
    Report { schema, base, at: &at, error }.run(doc);
}

struct Report<'a> {
    schema: &'a Value,
    base: &'a str,
    at: &'a str,
    error: &'a ValidationError<'a>,
}

impl Report<'_> {
    fn run(&self, doc: &mut Doc) {
        match self.error.kind() {
            Kind::AdditionalProperties { unexpected }
            | Kind::UnevaluatedProperties { unexpected } => {
                for key in unexpected {
                    self.unknown_key(doc, key);
                }
                return;
            }
            Kind::Required { property } => {
                return self.missing(doc, property.as_str().unwrap_or_default());
            }
            Kind::Type { kind } => self.wrong_type(doc, &schema_check::types(kind)),
            Kind::Enum { options } => {
                let options = options.as_array().cloned().unwrap_or_default();
                self.not_one_of(doc, &options);
            }
            Kind::Constant { expected_value } => {
                self.not_one_of(doc, std::slice::from_ref(expected_value));
            }
            Kind::Format { format } => self.unreadable(doc, format),
            Kind::OneOfNotValid { context } | Kind::AnyOf { context } => {
                return self.alternatives(doc, context);
            }
            // No key at all is allowed, and some are there.
            Kind::FalseSchema if doc.value.pointer(self.at).is_some_and(Value::is_object) => {
                let map = doc.value.pointer(self.at).and_then(Value::as_object);
                let keys: Vec<String> = map.into_iter().flat_map(|m| m.keys().cloned()).collect();
                keys.iter().for_each(|key| self.unknown_key(doc, key));
                return;
            }
            _ => self.bounds(doc),
        }
        doc.poison(self.at);
    }

    /// `retry` for /routes/0/retry, `item 2 of chain` for /routes/0/chain/1.
    fn name(&self) -> String {
        let tokens = pointer::tokens(self.at);
        match tokens.as_slice() {
            [.., list, n] if n.parse::<usize>().is_ok() => {
                format!("item {} of `{list}`", n.parse::<usize>().map_or(0, |n| n + 1))
            }
            [.., key] => format!("`{key}`"),
            [] => "the file".to_owned(),
        }
    }

    /// The schema of the place, where it can be found.
    fn node(&self) -> Option<&Value> {
        let path = self.error.schema_path().to_string();
        let (parent, _) = path.rsplit_once('/')?;
        self.schema.pointer(parent)
    }

    /// What is allowed where a shorthand may stand for the long form.
    fn short_form(&self) -> Option<&'static str> {
        let tokens = pointer::tokens(self.at);
        let parts: Vec<&str> = tokens.iter().map(String::as_str).collect();
        match parts.as_slice() {
            ["sources", _, "secrets", _] | ["routes", _, "chain", _] => Some("text or a mapping"),
            ["routes", _, "events"] => Some("SOURCE/TYPE or a list"),
            _ => None,
        }
    }

    fn unknown_key(&self, doc: &mut Doc, key: &str) {
        let allowed: Vec<&str> = self
            .node()
            .and_then(|n| n.get("properties"))
            .and_then(Value::as_object)
            .map(|p| p.keys().map(String::as_str).collect())
            .unwrap_or_default();
        let present = doc.value.pointer(self.at).and_then(Value::as_object).cloned();
        let free = allowed
            .iter()
            .copied()
            .filter(|k| !present.as_ref().is_some_and(|p| p.contains_key(*k)));
        let near = nearest(key, free).or_else(|| nearest(key, allowed.iter().copied()));
        let place = match self.at {
            "" => "at the top level".to_owned(),
            at => format!("in {}", doc.place(at)),
        };
        let at = pointer::join(self.at, key);
        if let Some(near) = near {
            doc.poison(pointer::join(self.at, near));
        }
        let diagnostic = doc.error(Location::Key(&at), format!("unknown key `{key}` {place}"));
        match near {
            Some(near) => drop(diagnostic.label(format!("did you mean `{near}`?"))),
            None => drop(diagnostic.label("not a key of this mapping")),
        }
        if allowed.is_empty() {
            diagnostic.help("no keys are allowed here; remove it");
        } else {
            diagnostic.help(format!("allowed here: {}", listed(&allowed)));
        }
        let elsewhere = key_docs::homes(key);
        if near.is_none() && !elsewhere.is_empty() {
            diagnostic.help(format!("`{key}` is a key of {}", elsewhere.join(" and of ")));
        }
        doc.poison(at);
    }

    fn missing(&self, doc: &mut Doc, key: &str) {
        let place = doc.place(self.at);
        let at = pointer::join(self.at, key);
        if doc.is_lost(&at) {
            return;
        }
        let entry = if self.base.is_empty() { key_docs::entry(&at) } else { None };
        let meaning = self
            .node()
            .and_then(|n| n.pointer(&format!("/properties/{}/description", key.replace('/', "~1"))))
            .and_then(Value::as_str)
            .map(str::to_owned);
        let diagnostic = doc.error(Location::Key(self.at), format!("{place} has no `{key}`"));
        diagnostic.label(format!("`{key}` is missing here"));
        match (entry, meaning) {
            (Some(entry), _) => {
                diagnostic.help(format!("`{key}`: {}", entry.means));
                diagnostic.help(format!("for example: {}", entry.example));
            }
            (None, Some(meaning)) => drop(diagnostic.help(format!("`{key}`: {meaning}"))),
            (None, None) => drop(diagnostic.help(format!("add `{key}:`"))),
        }
        doc.poison(at);
    }

    fn wrong_type(&self, doc: &mut Doc, allowed: &[JsonType]) {
        let found = doc.shown(self.at, self.error.instance());
        let allowed: Vec<JsonType> =
            allowed.iter().copied().filter(|t| *t != JsonType::Null).collect();
        let format = self.node().and_then(|n| n.get("format")).and_then(Value::as_str);
        let noun = format.and_then(scalars::by_name).map(|f| f.noun.to_owned());
        let plain = || allowed.iter().map(|t| word(*t)).collect::<Vec<_>>().join(" or ");
        let words = self.short_form().map(str::to_owned).or(noun).unwrap_or_else(plain);
        let wants = |t| allowed.contains(&t);
        let help = match self.error.instance().as_ref() {
            Value::Null => Some("write a value, or remove the key".to_owned()),
            Value::Number(n) if words == "a span of time" => Some(format!(
                "write the number with a unit, such as `{n}s`; ms, s, m, h and d are known"
            )),
            Value::Number(_) | Value::Bool(_) if words.starts_with("text") => {
                Some("put it in quotes if it is meant as text".to_owned())
            }
            Value::Array(_) | Value::Object(_) => None,
            Value::String(_) if wants(JsonType::Boolean) => {
                Some("write `true` or `false`, without quotes".to_owned())
            }
            Value::String(t) if t.parse::<f64>().is_ok() => {
                Some("write the number without quotes".to_owned())
            }
            _ if wants(JsonType::Array) => {
                Some("put it in a list, in [ ] or after `- `".to_owned())
            }
            _ => None,
        };
        let example = if self.base.is_empty() { key_docs::entry(self.at) } else { None };
        let example = example.map(|e| format!("for example: {}", e.example));
        let message = format!("{} must be {words}, not {found}", self.name());
        let diagnostic = doc.error(Location::Value(self.at), message);
        diagnostic.label(format!("expected {words}"));
        if let Some(help) = help.or(example) {
            diagnostic.help(help);
        }
    }

    fn not_one_of(&self, doc: &mut Doc, options: &[Value]) {
        let options: Vec<String> = options
            .iter()
            .filter(|o| !o.is_null())
            .map(|o| o.as_str().map_or_else(|| o.to_string(), str::to_owned))
            .collect();
        let found = doc.shown(self.at, self.error.instance());
        let message = format!("{found} is not a value of {}", self.name());
        let near =
            self.error.instance().as_str().and_then(|text| {
                nearest(text, options.iter().map(String::as_str)).map(str::to_owned)
            });
        let near = near.filter(|_| !doc.is_secret(self.at));
        let diagnostic = doc.error(Location::Value(self.at), message);
        match near {
            Some(near) => diagnostic.label(format!("did you mean `{near}`?")),
            None => diagnostic.label("not an allowed value"),
        };
        diagnostic.help(format!("allowed: {}", listed(&options)));
    }

    fn unreadable(&self, doc: &mut Doc, format: &str) {
        let text = self.error.instance().as_str().unwrap_or_default().to_owned();
        let known = scalars::by_name(format);
        let hidden = doc.filled.contains_key(self.at) || doc.is_secret(self.at);
        let message = match known.map(|known| (known.check)(&text)) {
            Some(Err(message)) if !hidden => message,
            // What the check says may quote parts of it; what to write is all that is told.
            Some(Err(message)) => {
                let shown = doc.shown(self.at, self.error.instance());
                let noun = known.map_or(format, |k| k.noun);
                let help = message.split_once("; ").map(|(_, help)| format!("; {help}"));
                format!("{shown} does not hold {noun}{}", help.unwrap_or_default())
            }
            _ => format!("{} is no {format}", doc.shown(self.at, self.error.instance())),
        };
        // "what is wrong; what to write": the second half is the help.
        let (message, help) = match message.split_once("; ") {
            Some((message, help)) => (message.to_owned(), Some(help.to_owned())),
            None => (message, None),
        };
        let name = self.name();
        let diagnostic = doc.error(Location::Value(self.at), format!("{name}: {message}"));
        if let Some(known) = known {
            diagnostic.label(format!("expected {}", known.noun));
        }
        let example = key_docs::entry(self.at).map(|e| format!("for example: {}", e.example));
        if let Some(help) = help.or(example) {
            diagnostic.help(help);
        }
    }

    /// Of several alternatives, the one that was meant speaks for all.
    fn alternatives(&self, doc: &mut Doc, branches: &[Vec<ValidationError<'static>>]) {
        let here = self.error.instance_path().to_string();
        let at_root = |e: &ValidationError<'_>| e.instance_path().to_string() == here;
        let mut options = Vec::new();
        for error in branches.iter().flatten().filter(|e| at_root(e)) {
            match error.kind() {
                Kind::Constant { expected_value } => options.push(expected_value.as_ref().clone()),
                Kind::Enum { options: several } => {
                    options.extend(several.as_array().cloned().unwrap_or_default());
                }
                _ => {}
            }
        }
        let is_text = self.error.instance().is_string();
        if !options.is_empty() && (is_text || branches.iter().all(|b| b.len() == 1)) {
            self.not_one_of(doc, &options);
            return doc.poison(self.at);
        }
        // An optional value: null is an alternative that nobody means.
        let null = |e: &ValidationError<'_>| matches!(e.kind(), Kind::Type { kind } if schema_check::types(kind) == [JsonType::Null]);
        let mut real = branches.iter().filter(|b| !(b.len() == 1 && b.iter().all(null)));
        if let (Some(only), None) = (real.next(), real.next()) {
            return only.iter().for_each(|e| report(doc, self.schema, self.base, e));
        }
        let wrong_kind = |branch: &&Vec<ValidationError<'static>>| {
            branch.iter().any(|e| at_root(e) && matches!(e.kind(), Kind::Type { .. }))
        };
        let meant = branches.iter().filter(|b| !wrong_kind(b)).min_by_key(|b| b.len());
        match meant {
            Some(errors) => {
                for error in errors {
                    report(doc, self.schema, self.base, error);
                }
            }
            None => {
                let types =
                    branches.iter().flatten().filter(|e| at_root(e)).filter_map(|e| {
                        match e.kind() {
                            Kind::Type { kind } => Some(schema_check::types(kind)),
                            _ => None,
                        }
                    });
                let types: Vec<JsonType> = types.flatten().collect();
                self.wrong_type(doc, &types);
                doc.poison(self.at);
            }
        }
    }

    fn bounds(&self, doc: &mut Doc) {
        let found = match self.error.instance().as_ref() {
            Value::Number(n) if !doc.is_secret(self.at) => n.to_string(),
            other => doc.shown(self.at, other),
        };
        let number = |limit: &Value| limit.as_f64().map_or(limit.to_string(), |n| n.to_string());
        let (said, label) = match self.error.kind() {
            Kind::Minimum { limit } => {
                (format!("is {found}"), format!("must be at least {}", number(limit)))
            }
            Kind::Maximum { limit } => {
                (format!("is {found}"), format!("may be at most {}", number(limit)))
            }
            Kind::ExclusiveMinimum { limit } => {
                (format!("is {found}"), format!("must be above {}", number(limit)))
            }
            Kind::ExclusiveMaximum { limit } => {
                (format!("is {found}"), format!("must be below {}", number(limit)))
            }
            Kind::MinLength { limit: 1 } => {
                ("is empty".to_owned(), "expected some text".to_owned())
            }
            Kind::MinItems { limit: 1 } | Kind::MinProperties { limit: 1 } => {
                ("is empty".to_owned(), "expected at least one".to_owned())
            }
            Kind::MinItems { limit }
            | Kind::MinLength { limit }
            | Kind::MinProperties { limit } => {
                ("is too short".to_owned(), format!("must have at least {limit}"))
            }
            Kind::MaxItems { limit }
            | Kind::MaxLength { limit }
            | Kind::MaxProperties { limit } => {
                ("is too long".to_owned(), format!("may have at most {limit}"))
            }
            Kind::UniqueItems => ("names something twice".to_owned(), "name each once".to_owned()),
            Kind::Pattern { pattern } => {
                (format!("is {found}"), format!("must match the regular expression `{pattern}`"))
            }
            _ => (format!("does not fit: {}", self.error.masked()), "not allowed".to_owned()),
        };
        let place = doc.place(pointer::split(self.at).map_or("", |(parent, _)| parent));
        let place = if place == "the file" { String::new() } else { format!(" in {place}") };
        let message = format!("{} {said}{place}", self.name());
        let example = match key_docs::entry(self.at) {
            Some(entry) => format!("for example: {}", entry.example),
            None => "`hookward schema` tells what is allowed".to_owned(),
        };
        doc.error(Location::Value(self.at), message).label(label).help(example);
    }
}

fn word(kind: JsonType) -> &'static str {
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
