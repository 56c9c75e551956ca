//! Finds the spans of routes.yaml that messages must not show.
//!
//! These are literals under `secrets`, `token` and similar keys, fields that a plugin's schema
//! marks `writeOnly`, and passwords in URLs. References such as `${NAME}` stay readable.

use std::collections::BTreeSet;
use std::ops::Range;

use hookward_core::plugin::Registry;
use serde_json::Value;

use super::pointer;
use super::source_map::{Node, NodeKind, SourceMap};
use super::text::SourceText;

/// Parts of a key's name that make its value a secret, in any mapping: a misspelled key is not in
/// any schema, and its value must not be shown in the message about it.
const SECRET_WORDS: &[&str] = &[
    "secret",
    "token",
    "password",
    "passwd",
    "credential",
    "authorization",
    "api_key",
    "apikey",
    "api-key",
    "private_key",
];

/// The maximum depth to which a plugin's schema is searched.
const MAX_SCHEMA_DEPTH: usize = 64;

/// Returns the spans to hide in a text that has a source map. `value` is the document in long form.
pub(super) fn secret_spans(
    text: &SourceText,
    source_map: &SourceMap,
    value: &Value,
    registry: &Registry,
) -> Vec<Range<usize>> {
    let mut collector = SpanCollector {
        text,
        source_map,
        write_only: write_only_pointers(value, registry),
        masks: Vec::new(),
    };
    if let Some(root) = source_map.root() {
        collector.visit(root, "", false);
    }
    collector.masks
}

struct SpanCollector<'a> {
    text: &'a SourceText,
    source_map: &'a SourceMap,
    write_only: BTreeSet<String>,
    masks: Vec<Range<usize>>,
}

impl SpanCollector<'_> {
    fn visit(&mut self, node: &Node, at: &str, secret: bool) {
        let secret = secret || self.write_only.contains(at);
        match &node.kind {
            NodeKind::Scalar(text) if secret && !is_reference(text) => {
                self.masks.push(node.span.clone());
            }
            NodeKind::Scalar(_) => {
                let found = url_secrets(self.text.slice(&node.span)).into_iter();
                self.masks
                    .extend(found.map(|r| node.span.start + r.start..node.span.start + r.end));
            }
            // The target of an alias is visited at its anchor, unless it becomes a secret only
            // here.
            NodeKind::Alias(target) if secret => {
                if let Some(node) = self.source_map.resolved(*target) {
                    self.visit(node, at, secret);
                }
            }
            NodeKind::Alias(_) => {}
            NodeKind::List(items) => {
                for (n, id) in items.iter().enumerate() {
                    if let Some(node) = self.source_map.node(*id) {
                        self.visit(node, &pointer::item(at, n), secret);
                    }
                }
            }
            NodeKind::Map(entries) => {
                for entry in entries {
                    // The keys of `sources` are chosen by the operator and name no secret.
                    let named = at != "/sources" && names_secret(&entry.key);
                    // Text where a mapping belongs, as in `stripe: whsec_…`, is likely the secret.
                    let misplaced = at == "/sources"
                        && matches!(
                            self.source_map.node(entry.node),
                            Some(Node { kind: NodeKind::Scalar(_), .. })
                        );
                    let secret = (secret && entry.key != "until") || named || misplaced;
                    if let Some(node) = self.source_map.node(entry.node) {
                        self.visit(node, &pointer::join(at, &entry.key), secret);
                    }
                }
            }
        }
    }
}

fn names_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    SECRET_WORDS.iter().any(|word| key.contains(word))
}

/// Whether a text consists of references alone. A reference with a default holds a literal.
fn is_reference(text: &str) -> bool {
    let mut rest = text;
    while let Some(inner) = rest.strip_prefix("${") {
        let Some((reference, after)) = inner.split_once('}') else { return false };
        if reference.split_once(":-").is_some_and(|(_, default)| !default.is_empty()) {
            return false;
        }
        rest = after;
    }
    rest.is_empty()
}

/// Finds the secrets of a URL: the password of `scheme://user:password@host`, with any number of
/// slashes, and the values of parameters such as `?password=`.
fn url_secrets(text: &str) -> Vec<Range<usize>> {
    let (start, end) = match (text.find("://"), text.find(":/")) {
        (Some(at), _) => (at + 3, ['?', '#', ' ', '"', '\''].as_slice()),
        (None, Some(at)) => (at + 2, ['?', '#', ' ', '"', '\''].as_slice()),
        (None, None) => match text.split_once(':') {
            Some((scheme, _)) if !scheme.contains(' ') => (scheme.len() + 1, [' '].as_slice()),
            _ => return Vec::new(),
        },
    };
    let rest = text.get(start..).unwrap_or_default();
    let authority = rest.get(..rest.find(end).unwrap_or(rest.len())).unwrap_or_default();
    let password = authority.rsplit_once('@').and_then(|(user, _)| {
        let (name, password) = user.split_once(':')?;
        // In `host:80/a@b` the `@` belongs to the path.
        let is_port =
            password.split_once('/').is_some_and(|(p, _)| p.bytes().all(|b| b.is_ascii_digit()));
        (!is_port).then_some(start + name.len() + 1..start + user.len())
    });
    let query = text.find('?').map_or(text.len(), |at| at + 1);
    let mut at = query;
    let parameters = text.get(query..).unwrap_or_default().split('&').filter_map(|pair| {
        let from = at;
        at += pair.len() + 1;
        let (key, value) = pair.split_once('=')?;
        let value = value.split([' ', '"', '\'', '#', ',', '}']).next()?;
        let secret = names_secret(key) || ["key", "pass", "pwd", "sig"].contains(&key);
        secret.then_some(from + key.len() + 1..from + key.len() + 1 + value.len())
    });
    let is_literal = |r: &Range<usize>| {
        text.get(r.clone()).is_some_and(|t| !t.is_empty() && !t.starts_with("${"))
    };
    password.into_iter().chain(parameters).filter(is_literal).collect()
}

/// Returns the pointers of the fields that plugins' schemas mark `writeOnly`.
fn write_only_pointers(value: &Value, registry: &Registry) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let sources = value.get("sources").and_then(Value::as_object);
    for (name, source) in sources.into_iter().flatten() {
        let provider = source.get("provider").and_then(Value::as_str).unwrap_or(name);
        if let (Some(with), Some(plugin)) = (source.get("with"), registry.provider(provider)) {
            let at = pointer::join(&pointer::join("/sources", name), "with");
            add_write_only(&(plugin.schema)(), with, &at, &mut found);
        }
    }
    let routes = value.get("routes").and_then(Value::as_array);
    for (n, route) in routes.into_iter().flatten().enumerate() {
        let chain = route.get("chain").and_then(Value::as_array);
        for (m, step) in chain.into_iter().flatten().enumerate() {
            let handler = step.get("handler").and_then(Value::as_str);
            if let (Some(with), Some(plugin)) =
                (step.get("with"), handler.and_then(|name| registry.handler(name)))
            {
                let at = format!("/routes/{n}/chain/{m}/with");
                add_write_only(&(plugin.schema)(), with, &at, &mut found);
            }
        }
    }
    found
}

/// Adds the `writeOnly` fields of one plugin's block.
fn add_write_only(schema: &Value, value: &Value, at: &str, found: &mut BTreeSet<String>) {
    WriteOnlyCollector { root: schema, found }.visit(schema, value, at, 0);
}

struct WriteOnlyCollector<'a> {
    root: &'a Value,
    found: &'a mut BTreeSet<String>,
}

impl<'a> WriteOnlyCollector<'a> {
    fn visit(&mut self, schema: &'a Value, value: &Value, at: &str, depth: usize) {
        // A schema may refer to itself.
        if depth > MAX_SCHEMA_DEPTH {
            return;
        }
        if schema.get("writeOnly").and_then(Value::as_bool) == Some(true) {
            self.found.insert(at.to_owned());
        }
        if let Some(target) = schema
            .get("$ref")
            .and_then(Value::as_str)
            .and_then(|reference| self.root.pointer(reference.strip_prefix('#')?))
        {
            self.visit(target, value, at, depth + 1);
        }
        for keyword in ["allOf", "anyOf", "oneOf"] {
            for branch in schema.get(keyword).and_then(Value::as_array).into_iter().flatten() {
                self.visit(branch, value, at, depth + 1);
            }
        }
        for (key, member) in value.as_object().into_iter().flatten() {
            let of_key = schema.get("properties").and_then(|p| p.get(key));
            if let Some(schema) = of_key.or_else(|| schema.get("additionalProperties")) {
                self.visit(schema, member, &pointer::join(at, key), depth + 1);
            }
        }
        if let (Some(schema), Some(items)) = (schema.get("items"), value.as_array()) {
            for (n, item) in items.iter().enumerate() {
                self.visit(schema, item, &pointer::item(at, n), depth + 1);
            }
        }
    }
}

/// Returns the spans to hide in a text with a syntax error, which has no source map: behind a key
/// that names a secret, the rest of the line and everything indented below it.
pub(super) fn secret_spans_by_line(text: &SourceText) -> Vec<Range<usize>> {
    let mut masks = Vec::new();
    let mut secret_indent: Option<usize> = None;
    for number in 1..=text.line_count() {
        let range = text.line(number);
        let line = text.slice(&range);
        let indent = line.len() - line.trim_start().len();
        let content = line.trim_start();
        if content.is_empty() {
            continue;
        }
        if let Some(parent) = secret_indent {
            if indent > parent
                || (indent == parent && (content == "-" || content.starts_with("- ")))
            {
                masks.push(range.start + indent..range.end);
                continue;
            }
            secret_indent = None;
        }
        if let Some(colon) = secret_key_colon(line) {
            masks.push(range.start + colon + 1..range.end);
            secret_indent = Some(indent);
        } else {
            let found = url_secrets(line).into_iter();
            masks.extend(found.map(|r| range.start + r.start..range.start + r.end));
        }
    }
    masks
}

/// Finds the colon of the first key on a line that names a secret.
fn secret_key_colon(line: &str) -> Option<usize> {
    let colons = line.match_indices(':').map(|(at, _)| at);
    colons.into_iter().find(|colon| {
        let before = line.get(..*colon).unwrap_or_default();
        let start = before.rfind([' ', '{', ',', '\t', '[']).map_or(0, |at| at + 1);
        names_secret(before.get(start..).unwrap_or_default())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_readable_and_literals_and_defaults_are_not() {
        assert!(is_reference("${A}${file:/x}") && is_reference("${A:-}"));
        assert!(!is_reference("x${A}") && !is_reference("${A:-hunter2}") && !is_reference("${A"));
    }

    #[test]
    fn the_password_and_secret_parameters_of_a_url_are_hidden_and_nothing_else() {
        for (url, hidden) in [
            ("postgres://me:hunter2@db:5432/x", &["hunter2"][..]),
            ("postgres:/me:hunter2@db", &["hunter2"]),
            ("postgres:///me:hunter2@db", &["hunter2"]),
            ("postgres:me:hunter2@db", &["hunter2"]),
            ("postgres://me:hun/ter:2@db", &["hun/ter:2"]),
            ("mongo://me:hunter2@db/x?a=1&password=hunter3&key=k", &["hunter2", "hunter3", "k"]),
            ("https://example.com/in?token=hunter2#x", &["hunter2"]),
            ("https://example.com:80/a@b", &[]),
            ("postgres://me:${PW}@db/x?password=${PW}", &[]),
            ("sqlite:events.db", &[]),
            ("me@example.com", &[]),
            ("a text: with a@b in it", &[]),
        ] {
            let found: Vec<_> = url_secrets(url).into_iter().map(|r| &url[r]).collect();
            assert_eq!(found, hidden, "{url}");
        }
    }
}
