//! Turns errors of a JSON Schema validator into messages for whoever wrote the configuration: what
//! was found, what is allowed, what to do.

use jsonschema::error::{TypeKind, ValidationErrorKind as ErrorKind};
use jsonschema::{JsonType, ValidationError};
use serde_json::Value;

use super::document::{Document, Location};
use super::schema_hints::{describe_bounds, type_help, type_noun};
use super::suggest::{nearest, quoted_list};
use super::{key_docs, pointer, scalars};

/// Reports one error of the value at `base`, and marks its place as having an error. An error in a
/// place that is already marked is omitted.
pub(super) fn report(
    document: &mut Document,
    schema: &Value,
    base: &str,
    error: &ValidationError<'_>,
) {
    let at = format!("{base}{}", error.instance_path());
    if document.has_error_at_or_above(&at) {
        return;
    }
    Report { schema, base, at: &at, error }.run(document);
}

/// Returns the types that an error of the kind "type" allows.
pub(super) fn allowed_types(kind: &TypeKind) -> Vec<JsonType> {
    match kind {
        TypeKind::Single(one) => vec![*one],
        TypeKind::Multiple(several) => several.into_iter().collect(),
    }
}

/// One error, with the place that it is about.
struct Report<'a> {
    schema: &'a Value,
    base: &'a str,
    at: &'a str,
    error: &'a ValidationError<'a>,
}

impl Report<'_> {
    fn run(&self, document: &mut Document) {
        match self.error.kind() {
            ErrorKind::AdditionalProperties { unexpected }
            | ErrorKind::UnevaluatedProperties { unexpected } => {
                return unexpected.iter().for_each(|key| self.report_unknown_key(document, key));
            }
            ErrorKind::Required { property } => {
                return self.report_missing_key(document, property.as_str().unwrap_or_default());
            }
            ErrorKind::OneOfNotValid { context } | ErrorKind::AnyOf { context } => {
                return self.report_best_branch(document, context);
            }
            // The schema allows no key at all.
            ErrorKind::FalseSchema
                if document.value.pointer(self.at).is_some_and(Value::is_object) =>
            {
                let map = document.value.pointer(self.at).and_then(Value::as_object);
                let keys: Vec<String> = map.into_iter().flat_map(|m| m.keys().cloned()).collect();
                return keys.iter().for_each(|key| self.report_unknown_key(document, key));
            }
            ErrorKind::Type { kind } => self.report_wrong_type(document, &allowed_types(kind)),
            ErrorKind::Enum { options } => {
                let options = options.as_array().cloned().unwrap_or_default();
                self.report_wrong_option(document, &options);
            }
            ErrorKind::Constant { expected_value } => {
                self.report_wrong_option(document, std::slice::from_ref(expected_value));
            }
            ErrorKind::Format { format } => self.report_malformed_text(document, format),
            _ => self.report_out_of_bounds(document),
        }
        document.mark_error(self.at);
    }

    /// Names the place: `retry` for /routes/0/retry, `item 2 of chain` for /routes/0/chain/1.
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

    /// The part of the schema that the place violates, where it can be found.
    fn subschema(&self) -> Option<&Value> {
        let path = self.error.schema_path().to_string();
        let (parent, _) = path.rsplit_once('/')?;
        self.schema.pointer(parent)
    }

    /// The documentation of the place, where it belongs to the file and not to a plugin's block.
    fn own_key_doc(&self, at: &str) -> Option<&'static key_docs::KeyDoc> {
        if self.base.is_empty() { key_docs::of_pointer(at) } else { None }
    }

    fn report_unknown_key(&self, document: &mut Document, key: &str) {
        let allowed: Vec<&str> = self
            .subschema()
            .and_then(|n| n.get("properties"))
            .and_then(Value::as_object)
            .map(|p| p.keys().map(String::as_str).collect())
            .unwrap_or_default();
        let renamed = key_docs::renamed(key).filter(|new| allowed.contains(new));
        let near = renamed.or_else(|| self.nearest_key(document, key, &allowed));
        let place = match self.at {
            "" => "at the top level".to_owned(),
            at => format!("in {}", document.place_name(at)),
        };
        let at = pointer::join(self.at, key);
        if let Some(near) = near {
            // The key that was meant is not missing.
            document.mark_error(pointer::join(self.at, near));
        }
        let diagnostic = document.error(Location::Key(&at), format!("unknown key `{key}` {place}"));
        diagnostic.label(match (renamed, near) {
            (Some(new), _) => format!("this key is called `{new}` now"),
            (None, Some(near)) => format!("did you mean `{near}`?"),
            (None, None) => "not a key of this mapping".to_owned(),
        });
        if allowed.is_empty() {
            diagnostic.help("no key is allowed here; remove it");
        } else {
            diagnostic.help(format!("allowed here: {}", quoted_list(&allowed)));
        }
        let parents = key_docs::parents_of(key);
        if near.is_none() && !parents.is_empty() {
            diagnostic.help(format!("`{key}` is a key of {}", parents.join(" and of ")));
        }
        document.mark_error(at);
    }

    /// The allowed key that is most like `key`; one that is not written yet, if there is one.
    fn nearest_key<'a>(
        &self,
        document: &Document,
        key: &str,
        allowed: &[&'a str],
    ) -> Option<&'a str> {
        let written = document.value.pointer(self.at).and_then(Value::as_object);
        let is_free = |k: &&str| !written.is_some_and(|map| map.contains_key(*k));
        let free = allowed.iter().copied().filter(is_free);
        nearest(key, free).or_else(|| nearest(key, allowed.iter().copied()))
    }

    fn report_missing_key(&self, document: &mut Document, key: &str) {
        let place = document.place_name(self.at);
        let at = pointer::join(self.at, key);
        if document.has_error_at_or_above(&at) {
            return;
        }
        let description = self
            .subschema()
            .and_then(|n| n.pointer(&format!("/properties/{}/description", key.replace('/', "~1"))))
            .and_then(Value::as_str)
            .map(str::to_owned);
        let diagnostic = document.error(Location::Key(self.at), format!("{place} has no `{key}`"));
        diagnostic.label(format!("`{key}` is missing here"));
        match (self.own_key_doc(&at), description) {
            (Some(doc), _) => {
                diagnostic.help(format!("`{key}`: {}", doc.description));
                diagnostic.help(format!("for example: {}", doc.example));
            }
            (None, Some(description)) => drop(diagnostic.help(format!("`{key}`: {description}"))),
            (None, None) => drop(diagnostic.help(format!("add `{key}:`"))),
        }
        document.mark_error(at);
    }

    fn report_wrong_type(&self, document: &mut Document, allowed: &[JsonType]) {
        let found = document.describe(self.at, self.error.instance());
        let allowed: Vec<JsonType> =
            allowed.iter().copied().filter(|t| *t != JsonType::Null).collect();
        let expected = self.expected_noun(&allowed);
        let help = type_help(self.error.instance(), &expected, &allowed);
        let example = self.own_key_doc(self.at).map(|doc| format!("for example: {}", doc.example));
        let message = format!("{} must be {expected}, not {found}", self.name());
        let diagnostic = document.error(Location::Value(self.at), message);
        diagnostic.label(format!("expected {expected}"));
        if let Some(help) = help.or(example) {
            diagnostic.help(help);
        }
    }

    /// The noun for what is allowed: of a shorthand, else of a format, else of the JSON types.
    fn expected_noun(&self, allowed: &[JsonType]) -> String {
        let tokens = pointer::tokens(self.at);
        let parts: Vec<&str> = tokens.iter().map(String::as_str).collect();
        match parts.as_slice() {
            ["sources", _, "secrets", _] | ["routes", _, "chain", _] => {
                return "text or a mapping".to_owned();
            }
            ["sources", _, "dedupe"] => {
                return "id_and_body, id, content, none or a mapping".to_owned();
            }
            ["routes", _, "events"] => return "SOURCE/TYPE or a list".to_owned(),
            _ => {}
        }
        let format = self.subschema().and_then(|n| n.get("format")).and_then(Value::as_str);
        let noun = format.and_then(scalars::by_name).map(|f| f.noun.to_owned());
        let types = || allowed.iter().map(|t| type_noun(*t)).collect::<Vec<_>>().join(" or ");
        noun.unwrap_or_else(types)
    }

    fn report_wrong_option(&self, document: &mut Document, options: &[Value]) {
        let options: Vec<String> = options
            .iter()
            .filter(|o| !o.is_null())
            .map(|o| o.as_str().map_or_else(|| o.to_string(), str::to_owned))
            .collect();
        let found = document.describe(self.at, self.error.instance());
        let message = format!("{found} is not a value of {}", self.name());
        let near =
            self.error.instance().as_str().and_then(|text| {
                nearest(text, options.iter().map(String::as_str)).map(str::to_owned)
            });
        let near = near.filter(|_| !document.is_secret(self.at));
        let diagnostic = document.error(Location::Value(self.at), message);
        match near {
            Some(near) => diagnostic.label(format!("did you mean `{near}`?")),
            None => diagnostic.label("not an allowed value"),
        };
        diagnostic.help(format!("allowed: {}", quoted_list(&options)));
    }

    fn report_malformed_text(&self, document: &mut Document, format: &str) {
        let text = self.error.instance().as_str().unwrap_or_default().to_owned();
        let known = scalars::by_name(format);
        let is_hidden = document.filled.contains_key(self.at) || document.is_secret(self.at);
        let found = document.describe(self.at, self.error.instance());
        let message = match known.map(|known| (known.check)(&text)) {
            Some(Err(message)) if !is_hidden => message,
            // The check's first half may quote parts of the hidden text; the second half, what to
            // write, does not.
            Some(Err(message)) => {
                let noun = known.map_or(format, |k| k.noun);
                let help = message.split_once("; ").map(|(_, help)| format!("; {help}"));
                format!("the value of {found} is not {noun}{}", help.unwrap_or_default())
            }
            _ => format!("{found} does not have the format `{format}`"),
        };
        let (message, help) = match message.split_once("; ") {
            Some((message, help)) => (message.to_owned(), Some(help.to_owned())),
            None => (message, None),
        };
        let name = self.name();
        let diagnostic = document.error(Location::Value(self.at), format!("{name}: {message}"));
        if let Some(known) = known {
            diagnostic.label(format!("expected {}", known.noun));
        }
        let example = key_docs::of_pointer(self.at);
        let example = example.map(|doc| format!("for example: {}", doc.example));
        if let Some(help) = help.or(example) {
            diagnostic.help(help);
        }
    }

    /// Reports the errors of the alternative that was most likely meant, instead of "matches none
    /// of the alternatives".
    fn report_best_branch(
        &self,
        document: &mut Document,
        branches: &[Vec<ValidationError<'static>>],
    ) {
        let here = self.error.instance_path().to_string();
        let is_here = |e: &ValidationError<'_>| e.instance_path().to_string() == here;
        let options = options_of(branches.iter().flatten().filter(|e| is_here(e)));
        let is_text = self.error.instance().is_string();
        if !options.is_empty() && (is_text || branches.iter().all(|b| b.len() == 1)) {
            self.report_wrong_option(document, &options);
            return document.mark_error(self.at);
        }
        // The schema of an optional value allows null, which nobody writes.
        let wants_null = |e: &ValidationError<'_>| matches!(e.kind(), ErrorKind::Type { kind } if allowed_types(kind) == [JsonType::Null]);
        let mut others = branches.iter().filter(|b| !(b.len() == 1 && b.iter().all(wants_null)));
        if let (Some(only), None) = (others.next(), others.next()) {
            return only.iter().for_each(|e| report(document, self.schema, self.base, e));
        }
        let has_wrong_type = |branch: &&Vec<ValidationError<'static>>| {
            branch.iter().any(|e| is_here(e) && matches!(e.kind(), ErrorKind::Type { .. }))
        };
        let best = branches.iter().filter(|b| !has_wrong_type(b)).min_by_key(|b| b.len());
        if let Some(errors) = best {
            return errors.iter().for_each(|e| report(document, self.schema, self.base, e));
        }
        let types =
            branches.iter().flatten().filter(|e| is_here(e)).filter_map(|e| match e.kind() {
                ErrorKind::Type { kind } => Some(allowed_types(kind)),
                _ => None,
            });
        let types: Vec<JsonType> = types.flatten().collect();
        self.report_wrong_type(document, &types);
        document.mark_error(self.at);
    }

    fn report_out_of_bounds(&self, document: &mut Document) {
        let found = match self.error.instance().as_ref() {
            Value::Number(n) if !document.is_secret(self.at) => n.to_string(),
            other => document.describe(self.at, other),
        };
        let (found, allowed) = describe_bounds(self.error, &found);
        let place = pointer::split(self.at).map_or("", |(parent, _)| parent);
        let place = match place {
            "" => String::new(),
            at => format!(" in {}", document.place_name(at)),
        };
        let message = format!("{} {found}{place}", self.name());
        let help = match key_docs::of_pointer(self.at) {
            Some(doc) => format!("for example: {}", doc.example),
            None => "run `hookward schema` to see what is allowed".to_owned(),
        };
        document.error(Location::Value(self.at), message).label(allowed).help(help);
    }
}

/// Collects the constants and enumerations that errors name.
fn options_of<'a>(errors: impl Iterator<Item = &'a ValidationError<'static>>) -> Vec<Value> {
    let mut options = Vec::new();
    for error in errors {
        match error.kind() {
            ErrorKind::Constant { expected_value } => options.push(expected_value.as_ref().clone()),
            ErrorKind::Enum { options: several } => {
                options.extend(several.as_array().cloned().unwrap_or_default());
            }
            _ => {}
        }
    }
    options
}
