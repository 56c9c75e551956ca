//! The state of a configuration while it is loaded: its text, the positions of its places, its
//! value so far, and the mistakes found so far. Each stage reads it and adds to it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use serde_json::Value;

use super::diagnostic::{Diagnostic, Severity};
use super::diagnostics::Diagnostics;
use super::pointer;
use super::source_map::{NodeKind, SourceMap};
use super::text::SourceText;

/// The maximum length of a value in a message, in characters.
const MAX_SHOWN_CHARS: usize = 80;

/// The minimum length of a value that is replaced wherever it occurs in a message, in bytes.
const MIN_HIDDEN_BYTES: usize = 6;

/// The place that a message points at, as a JSON pointer.
#[derive(Debug, Clone)]
pub(super) enum Location<'a> {
    /// The key; the value where the place has no key, such as a list item.
    Key(&'a str),
    /// The value; the key where the value is a block or empty.
    Value(&'a str),
    /// A part of a value, by its bytes in the file.
    Part(&'a str, Range<usize>),
}

/// A text value whose `${…}` references were filled in.
#[derive(Debug)]
pub(super) struct FilledText {
    /// The text with its references.
    pub(super) written: String,
    /// The values that messages must not show, each with the reference to show instead.
    pub(super) hidden_values: Vec<(String, String)>,
}

/// A configuration while it is loaded.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) text: SourceText,
    pub(super) source_map: SourceMap,
    pub(super) value: Value,
    /// The texts that held references, by pointer.
    pub(super) filled: BTreeMap<String, FilledText>,
    /// The spans of the text that messages must not show.
    pub(super) masked: Vec<Range<usize>>,
    /// The places that have an error. Later stages skip them, so that one mistake gives one
    /// message.
    error_places: BTreeSet<String>,
    diagnostics: Vec<Diagnostic>,
}

impl Document {
    pub(super) fn new(text: SourceText, source_map: SourceMap) -> Self {
        Self {
            text,
            source_map,
            value: Value::Null,
            filled: BTreeMap::new(),
            masked: Vec::new(),
            error_places: BTreeSet::new(),
            diagnostics: Vec::new(),
        }
    }

    /// Adds an error; the caller adds label and help to the result.
    pub(super) fn error(
        &mut self,
        location: Location<'_>,
        message: impl Into<String>,
    ) -> &mut Diagnostic {
        self.report(Severity::Error, location, message.into())
    }

    /// Adds a warning; the caller adds label and help to the result.
    pub(super) fn warn(
        &mut self,
        location: Location<'_>,
        message: impl Into<String>,
    ) -> &mut Diagnostic {
        self.report(Severity::Warning, location, message.into())
    }

    fn report(
        &mut self,
        severity: Severity,
        location: Location<'_>,
        message: String,
    ) -> &mut Diagnostic {
        let (at, span) = match location {
            Location::Key(at) => (at, self.key_span(at)),
            Location::Value(at) => (at, self.value_span(at)),
            Location::Part(at, span) => (at, span),
        };
        let message = self.hide_values(at, message);
        self.push(severity, at.to_owned(), span, message)
    }

    /// Adds a diagnostic for a span of the text.
    pub(super) fn push(
        &mut self,
        severity: Severity,
        path: String,
        span: Range<usize>,
        message: String,
    ) -> &mut Diagnostic {
        let (line, column) = self.text.position(span.start);
        let file = self.text.path.clone();
        let (help, label, related) = (Vec::new(), None, None);
        self.diagnostics.push(Diagnostic {
            severity,
            file,
            line,
            column,
            path,
            message,
            help,
            label,
            span,
            related,
            located: true,
        });
        let last = self.diagnostics.len() - 1;
        #[expect(clippy::indexing_slicing, reason = "pushed two lines above")]
        &mut self.diagnostics[last]
    }

    /// Marks a place as having an error.
    pub(super) fn mark_error(&mut self, at: impl Into<String>) {
        self.error_places.insert(at.into());
    }

    /// Whether the place has an error, or a place around it, or a place inside it.
    pub(super) fn has_error_at(&self, at: &str) -> bool {
        let inside = format!("{at}/");
        let next = self.error_places.range(inside.clone()..).next();
        self.has_error_at_or_above(at) || next.is_some_and(|p| p.starts_with(&inside))
    }

    /// Whether the place itself has an error, or a place around it.
    pub(super) fn has_error_at_or_above(&self, at: &str) -> bool {
        let mut around = at;
        while !self.error_places.contains(around) {
            let Some((parent, _)) = around.rsplit_once('/') else { return false };
            around = parent;
        }
        true
    }

    /// Whether any stage found an error.
    pub(super) fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(|d| d.severity == Severity::Error)
    }

    /// Returns the value without the places that have an error.
    pub(super) fn value_without_errors(&self) -> Value {
        let mut value = self.value.clone();
        for at in self.error_places.iter().rev() {
            pointer::remove(&mut value, at);
        }
        value
    }

    /// Ends loading, and returns all errors and warnings.
    pub(super) fn finish(self) -> Diagnostics {
        Diagnostics::new(self.text, self.masked, self.diagnostics)
    }

    /// Returns the span of the key at a pointer; of the value where it has no key.
    pub(super) fn key_span(&self, at: &str) -> Range<usize> {
        match self.source_map.find(at) {
            Some(found) => match found.key_span {
                Some(key) => key,
                None => self.start_of(&found.node.span, &found.node.kind),
            },
            None => 0..0,
        }
    }

    /// Returns the span of the value at a pointer. A block has no span that a caret could mark
    /// well, so its key stands for it.
    pub(super) fn value_span(&self, at: &str) -> Range<usize> {
        let Some(found) = self.source_map.find(at) else { return 0..0 };
        let node = found.node;
        let written = self.text.slice(&node.span);
        let flow = written.starts_with(['{', '[']);
        match (&node.kind, found.key_span) {
            (NodeKind::Scalar(_) | NodeKind::Alias(_), None) => node.span.clone(),
            (NodeKind::Scalar(_) | NodeKind::Alias(_), Some(_)) if !written.is_empty() => {
                node.span.clone()
            }
            _ if flow => node.span.clone(),
            (_, Some(key)) => key,
            (kind, None) => self.start_of(&node.span, kind),
        }
    }

    /// The span of the first key or of the first `-` of a block.
    fn start_of(&self, span: &Range<usize>, kind: &NodeKind) -> Range<usize> {
        match kind {
            NodeKind::Map(entries) if !self.text.slice(span).starts_with('{') => {
                entries.first().map_or(span.start..span.start, |e| e.key_span.clone())
            }
            NodeKind::List(_) if !self.text.slice(span).starts_with('[') => {
                span.start..(span.start + 1).min(span.end)
            }
            _ => span.clone(),
        }
    }

    /// Names a place for messages, such as `limits` of source `stripe`.
    pub(super) fn place_name(&self, at: &str) -> String {
        let tokens = pointer::tokens(at);
        let parts: Vec<&str> = tokens.iter().map(String::as_str).collect();
        let inner = |rest: &[&str], outer: String| match rest {
            [] => outer,
            rest => format!("{} of {outer}", quoted_keys(rest)),
        };
        match parts.as_slice() {
            [] => "the file".to_owned(),
            // What a shorthand stands for, which is what most files have.
            ["sources", _, "dedupe", "by"] => "`dedupe`".to_owned(),
            ["sources", name, "secrets", n, rest @ ..] => {
                let n = n.parse::<usize>().map_or(0, |n| n + 1);
                inner(rest, format!("secret {n} of source `{name}`"))
            }
            ["sources", name, rest @ ..] => inner(rest, format!("source `{name}`")),
            ["routes", n, "chain", step, rest @ ..] => {
                let route = self.route_name(n);
                inner(rest, format!("step {} of {route}", self.step_name(n, step)))
            }
            ["routes", n, rest @ ..] => inner(rest, self.route_name(n)),
            rest => quoted_keys(rest),
        }
    }

    fn route_name(&self, n: &str) -> String {
        let at = format!("/routes/{n}/name");
        match self.value.pointer(&at).and_then(Value::as_str) {
            Some(name) if !name.is_empty() && !self.filled.contains_key(&at) => {
                format!("route `{name}`")
            }
            _ => format!("route {}", n.parse::<usize>().map_or(0, |n| n + 1)),
        }
    }

    fn step_name(&self, route: &str, step: &str) -> String {
        let at = |key| format!("/routes/{route}/chain/{step}/{key}");
        let written = |at: String| {
            let name = self.value.pointer(&at).and_then(Value::as_str)?;
            (!self.filled.contains_key(&at)).then(|| format!("`{name}`"))
        };
        written(at("name"))
            .or_else(|| written(at("handler")))
            .unwrap_or_else(|| step.parse::<usize>().map_or(String::new(), |n| (n + 1).to_string()))
    }

    /// Describes a value for messages: as written, cut at 80 characters, and a secret by its type.
    pub(super) fn describe(&self, at: &str, value: &Value) -> String {
        let secret = self.is_secret(at);
        match value {
            Value::Null => "nothing".to_owned(),
            Value::Bool(b) => format!("`{b}`"),
            Value::Number(_) if secret => "a number".to_owned(),
            Value::Number(n) => format!("the number {n}"),
            Value::String(_) if secret => "text".to_owned(),
            Value::String(text) if text.is_empty() => "empty text".to_owned(),
            Value::String(text) => {
                let text = self.filled.get(at).map_or(text, |f| &f.written);
                let mut cut: String = text.chars().take(MAX_SHOWN_CHARS).collect();
                if cut.len() < text.len() {
                    cut.push('…');
                }
                format!("`{cut}`")
            }
            Value::Array(_) => "a list".to_owned(),
            Value::Object(_) => "a mapping".to_owned(),
        }
    }

    /// Whether snippets show the value as `***`.
    pub(super) fn is_secret(&self, at: &str) -> bool {
        let Some(found) = self.source_map.find(at) else { return false };
        let span = &found.node.span;
        self.masked.iter().any(|m| m.start < span.end && span.start < m.end)
    }

    /// Replaces the values of variables and literal secrets in a message. `at` is the place that
    /// the message is about: short values are replaced for that place alone, for elsewhere a text
    /// such as `1` is a coincidence.
    pub(super) fn hide_values(&self, at: &str, mut message: String) -> String {
        let mut hide = |value: &str, replacement: &str, near: bool| {
            if value.is_empty() {
                return;
            }
            if value.len() >= MIN_HIDDEN_BYTES || near {
                for quote in ["`", "\"", "'"] {
                    let (from, to) =
                        (format!("{quote}{value}{quote}"), format!("{quote}{replacement}{quote}"));
                    message = message.replace(&from, &to);
                }
            }
            if value.len() >= MIN_HIDDEN_BYTES {
                message = message.replace(value, replacement);
            }
        };
        for (place, filled) in &self.filled {
            let near = pointer::is_within(place, at) || pointer::is_within(at, place);
            filled.hidden_values.iter().for_each(|(value, reference)| hide(value, reference, near));
        }
        let near = self.value_span(at);
        for mask in &self.masked {
            let written = self.text.slice(mask).trim();
            let inside = near.start <= mask.start && mask.end <= near.end.max(mask.end);
            let literal = written.trim_matches(['"', '\'']);
            if literal.starts_with("${") {
                continue; // A malformed reference is a name, not a value.
            }
            hide(literal, "***", inside && self.is_secret(at));
        }
        message
    }
}

/// Formats the keys of a place as `limits.rate`, without list indexes.
fn quoted_keys(parts: &[&str]) -> String {
    let named: Vec<&str> = parts.iter().copied().filter(|p| p.parse::<usize>().is_err()).collect();
    format!("`{}`", named.join("."))
}
