//! What snippets and messages must not show: literals under `secrets`, `token` and the like,
//! fields that a plugin's schema marks `writeOnly`, and passwords in URLs. References such as
//! `${NAME}` stay readable.

use std::collections::BTreeSet;
use std::ops::Range;

use hookward_core::plugin::Registry;
use serde_json::Value;

use super::pointer;
use super::source_map::{Kind, Node, Outline};
use super::text::SourceText;

/// Parts of a key's name that make its value a secret, whatever the key belongs to: a misspelled
/// key must not give away what it holds.
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

/// The parts of a text to hide, by its outline.
pub(super) fn by_outline(
    text: &SourceText,
    outline: &Outline,
    value: &Value,
    registry: &Registry,
) -> Vec<Range<usize>> {
    let mut walk = Walk { text, outline, marked: marked(value, registry), masks: Vec::new() };
    if let Some(root) = outline.root() {
        walk.node(root, "", false);
    }
    walk.masks
}

struct Walk<'a> {
    text: &'a SourceText,
    outline: &'a Outline,
    marked: BTreeSet<String>,
    masks: Vec<Range<usize>>,
}

impl Walk<'_> {
    fn node(&mut self, node: &Node, at: &str, secret: bool) {
        let secret = secret || self.marked.contains(at);
        match &node.kind {
            Kind::Scalar(text) if secret && !is_reference(text) => {
                self.masks.push(node.span.clone());
            }
            Kind::Scalar(_) => {
                let found = url_secrets(self.text.slice(&node.span)).into_iter();
                self.masks
                    .extend(found.map(|r| node.span.start + r.start..node.span.start + r.end));
            }
            // What an alias stands for is looked at where it is anchored, unless it is only here
            // that it becomes a secret.
            Kind::Alias(target) if secret => {
                if let Some(node) = self.outline.node(*target) {
                    self.node(node, at, secret);
                }
            }
            Kind::Alias(_) => {}
            Kind::List(items) => {
                for (n, id) in items.iter().enumerate() {
                    if let Some(node) = self.outline.raw(*id) {
                        self.node(node, &pointer::item(at, n), secret);
                    }
                }
            }
            Kind::Map(entries) => {
                for entry in entries {
                    // Under `sources` the keys are names.
                    let named = at != "/sources" && names_secret(&entry.key);
                    // A text where a source should be is likely its secret.
                    let misplaced = at == "/sources"
                        && matches!(
                            self.outline.raw(entry.node),
                            Some(Node { kind: Kind::Scalar(_), .. })
                        );
                    let secret = (secret && entry.key != "until") || named || misplaced;
                    if let Some(node) = self.outline.raw(entry.node) {
                        self.node(node, &pointer::join(at, &entry.key), secret);
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

/// Whether a text consists of references only, and so gives nothing away.
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

/// What is secret in a URL: the password of `scheme://user:password@host`, also where slashes are
/// missing or too many, and the values of parameters such as `?password=`.
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
        // A port, and an `@` in the path.
        let port =
            password.split_once('/').is_some_and(|(p, _)| p.bytes().all(|b| b.is_ascii_digit()));
        (!port).then_some(start + name.len() + 1..start + user.len())
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
    let shows = |r: &Range<usize>| {
        text.get(r.clone()).is_some_and(|t| !t.is_empty() && !t.starts_with("${"))
    };
    password.into_iter().chain(parameters).filter(shows).collect()
}

/// The places that plugins' schemas mark `writeOnly`.
fn marked(value: &Value, registry: &Registry) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let sources = value.get("sources").and_then(Value::as_object);
    for (name, source) in sources.into_iter().flatten() {
        let provider = source.get("provider").and_then(Value::as_str).unwrap_or(name);
        if let (Some(with), Some(plugin)) = (source.get("with"), registry.provider(provider)) {
            let at = pointer::join(&pointer::join("/sources", name), "with");
            write_only(&(plugin.schema)(), with, &at, &mut found);
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
                write_only(&(plugin.schema)(), with, &at, &mut found);
            }
        }
    }
    found
}

fn write_only(schema: &Value, value: &Value, at: &str, found: &mut BTreeSet<String>) {
    let mut walk = WriteOnly { root: schema, found };
    walk.visit(schema, value, at, 0);
}

struct WriteOnly<'a> {
    root: &'a Value,
    found: &'a mut BTreeSet<String>,
}

impl<'a> WriteOnly<'a> {
    fn visit(&mut self, schema: &'a Value, value: &Value, at: &str, depth: usize) {
        if depth > 64 {
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

/// The parts to hide of a text that has no outline because its syntax is wrong: after a key that
/// names a secret, the rest of the line and everything indented below it.
pub(super) fn by_lines(text: &SourceText) -> Vec<Range<usize>> {
    let mut masks = Vec::new();
    let mut below: Option<usize> = None;
    for number in 1..=text.lines() {
        let range = text.line(number);
        let line = text.slice(&range);
        let indent = line.len() - line.trim_start().len();
        let content = line.trim_start();
        if content.is_empty() {
            continue;
        }
        if let Some(of) = below {
            if indent > of || (indent == of && (content == "-" || content.starts_with("- "))) {
                masks.push(range.start + indent..range.end);
                continue;
            }
            below = None;
        }
        if let Some(colon) = secret_key(line) {
            masks.push(range.start + colon + 1..range.end);
            below = Some(indent);
        } else {
            let found = url_secrets(line).into_iter();
            masks.extend(found.map(|r| range.start + r.start..range.start + r.end));
        }
    }
    masks
}

/// The colon of the first key on the line that names a secret.
fn secret_key(line: &str) -> Option<usize> {
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
    fn references_stay_readable_and_literals_and_defaults_do_not() {
        assert!(is_reference("${A}${file:/x}") && is_reference("${A:-}"));
        assert!(!is_reference("x${A}") && !is_reference("${A:-hunter2}") && !is_reference("${A"));
    }

    #[test]
    fn of_a_url_the_password_and_secret_parameters_are_hidden_and_nothing_else() {
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
