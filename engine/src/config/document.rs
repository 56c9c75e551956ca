//! A configuration on its way through the gates: the text, its outline, the value as filled in so
//! far, and what was found wrong. Every gate takes it and adds to it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use serde_json::Value;

use super::diagnostics::{Diagnostic, Diagnostics, Severity};
use super::pointer;
use super::source_map::{Kind, Outline};
use super::text::SourceText;

/// What a message points at.
#[derive(Debug, Clone)]
pub(super) enum Location<'a> {
    /// The key; the value where it has none.
    Key(&'a str),
    /// The value; the key where the value is a block or nothing.
    Value(&'a str),
    /// A part of a value.
    Part(&'a str, Range<usize>),
}

/// A text with `${…}` in it, as written and as it came out.
#[derive(Debug)]
pub(super) struct Filled {
    pub(super) written: String,
    /// What must not be shown, with what to show for it.
    pub(super) hidden: Vec<(String, String)>,
}

#[derive(Debug)]
pub(super) struct Doc {
    pub(super) text: SourceText,
    pub(super) outline: Outline,
    pub(super) value: Value,
    /// Texts with something filled in, by pointer.
    pub(super) filled: BTreeMap<String, Filled>,
    /// Parts of the text that must not be shown.
    pub(super) masked: Vec<Range<usize>>,
    /// Places already reported: what they hold is not looked at again.
    poisoned: BTreeSet<String>,
    found: Vec<Diagnostic>,
}

impl Doc {
    pub(super) fn new(text: SourceText, outline: Outline) -> Self {
        Self {
            text,
            outline,
            value: Value::Null,
            filled: BTreeMap::new(),
            masked: Vec::new(),
            poisoned: BTreeSet::new(),
            found: Vec::new(),
        }
    }

    pub(super) fn error(
        &mut self,
        spot: Location<'_>,
        message: impl Into<String>,
    ) -> &mut Diagnostic {
        self.report(Severity::Error, spot, message.into())
    }

    pub(super) fn warn(
        &mut self,
        spot: Location<'_>,
        message: impl Into<String>,
    ) -> &mut Diagnostic {
        self.report(Severity::Warning, spot, message.into())
    }

    fn report(
        &mut self,
        severity: Severity,
        spot: Location<'_>,
        message: String,
    ) -> &mut Diagnostic {
        let (at, span) = match spot {
            Location::Key(at) => (at, self.key_span(at)),
            Location::Value(at) => (at, self.value_span(at)),
            Location::Part(at, span) => (at, span),
        };
        let message = self.discreet(at, message);
        self.push(severity, at.to_owned(), span, message)
    }

    /// At a span of the text that has no pointer.
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
        self.found.push(Diagnostic {
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
        let last = self.found.len() - 1;
        #[expect(clippy::indexing_slicing, reason = "pushed two lines above")]
        &mut self.found[last]
    }

    /// Marks a place as reported, so that no later gate speaks of it again.
    pub(super) fn poison(&mut self, at: impl Into<String>) {
        self.poisoned.insert(at.into());
    }

    /// Whether the place, something around it or something in it was reported.
    pub(super) fn is_poisoned(&self, at: &str) -> bool {
        let inside = format!("{at}/");
        let next = self.poisoned.range(inside.clone()..).next();
        self.is_lost(at) || next.is_some_and(|p| p.starts_with(&inside))
    }

    /// Whether the place itself was reported, or something around it.
    pub(super) fn is_lost(&self, at: &str) -> bool {
        let mut around = at;
        while !self.poisoned.contains(around) {
            let Some((parent, _)) = around.rsplit_once('/') else { return false };
            around = parent;
        }
        true
    }

    /// Whether any gate found an error.
    pub(super) fn failed(&self) -> bool {
        self.found.iter().any(|d| d.severity == Severity::Error)
    }

    /// The value without the places that were reported.
    pub(super) fn sound(&self) -> Value {
        let mut value = self.value.clone();
        for at in self.poisoned.iter().rev() {
            pointer::remove(&mut value, at);
        }
        value
    }

    pub(super) fn finish(self) -> Diagnostics {
        Diagnostics::new(self.text, self.masked, self.found)
    }

    /// The key that a pointer stands for.
    pub(super) fn key_span(&self, at: &str) -> Range<usize> {
        match self.outline.find(at) {
            Some(found) => match found.key_span {
                Some(key) => key,
                None => self.start_of(&found.node.span, &found.node.kind),
            },
            None => 0..0,
        }
    }

    /// The value that a pointer stands for.
    pub(super) fn value_span(&self, at: &str) -> Range<usize> {
        let Some(found) = self.outline.find(at) else { return 0..0 };
        let node = found.node;
        let written = self.text.slice(&node.span);
        let flow = written.starts_with(['{', '[']);
        match (&node.kind, found.key_span) {
            (Kind::Scalar(_) | Kind::Alias(_), None) => node.span.clone(),
            (Kind::Scalar(_) | Kind::Alias(_), Some(_)) if !written.is_empty() => node.span.clone(),
            _ if flow => node.span.clone(),
            (_, Some(key)) => key,
            (kind, None) => self.start_of(&node.span, kind),
        }
    }

    /// Where a block starts: its first key, or its first item.
    fn start_of(&self, span: &Range<usize>, kind: &Kind) -> Range<usize> {
        match kind {
            Kind::Map(entries) if !self.text.slice(span).starts_with('{') => {
                entries.first().map_or(span.start..span.start, |e| e.key_span.clone())
            }
            Kind::List(_) if !self.text.slice(span).starts_with('[') => {
                span.start..(span.start + 1).min(span.end)
            }
            _ => span.clone(),
        }
    }

    /// How a place is called in messages: `limits` of source `stripe`.
    pub(super) fn place(&self, at: &str) -> String {
        let tokens = pointer::tokens(at);
        let parts: Vec<&str> = tokens.iter().map(String::as_str).collect();
        let inner = |rest: &[&str], outer: String| match rest {
            [] => outer,
            rest => format!("{} of {outer}", quoted(rest)),
        };
        match parts.as_slice() {
            [] => "the file".to_owned(),
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
            rest => quoted(rest),
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

    /// A value as messages show it: as written, secrets not at all.
    pub(super) fn shown(&self, at: &str, value: &Value) -> String {
        let secret = self.is_secret(at);
        match value {
            Value::Null => "nothing".to_owned(),
            Value::Bool(b) => format!("`{b}`"),
            Value::Number(_) if secret => "a number".to_owned(),
            Value::Number(n) => format!("the number {n}"),
            Value::String(_) if secret => "a text".to_owned(),
            Value::String(text) if text.is_empty() => "an empty text".to_owned(),
            Value::String(text) => {
                let text = self.filled.get(at).map_or(text, |f| &f.written);
                let mut cut: String = text.chars().take(80).collect();
                if cut.len() < text.len() {
                    cut.push('…');
                }
                format!("`{cut}`")
            }
            Value::Array(_) => "a list".to_owned(),
            Value::Object(_) => "a mapping".to_owned(),
        }
    }

    /// Whether the value is masked in snippets.
    pub(super) fn is_secret(&self, at: &str) -> bool {
        let Some(found) = self.outline.find(at) else { return false };
        let span = &found.node.span;
        self.masked.iter().any(|m| m.start < span.end && span.start < m.end)
    }

    /// A message without what came from the environment and without literal secrets.
    pub(super) fn discreet(&self, at: &str, mut message: String) -> String {
        let mut hide = |text: &str, shown: &str, near: bool| {
            if text.is_empty() {
                return;
            }
            if text.len() >= 6 || near {
                for quote in ["`", "\"", "'"] {
                    let (from, to) =
                        (format!("{quote}{text}{quote}"), format!("{quote}{shown}{quote}"));
                    message = message.replace(&from, &to);
                }
            }
            if text.len() >= 6 {
                message = message.replace(text, shown);
            }
        };
        for (place, filled) in &self.filled {
            let near = pointer::within(place, at) || pointer::within(at, place);
            filled.hidden.iter().for_each(|(text, shown)| hide(text, shown, near));
        }
        let near = self.value_span(at);
        for mask in &self.masked {
            let written = self.text.slice(mask).trim();
            let inside = near.start <= mask.start && mask.end <= near.end.max(mask.end);
            let literal = written.trim_matches(['"', '\'']);
            if literal.starts_with("${") {
                continue; // a broken reference: a name, not a value
            }
            hide(literal, "***", inside && self.is_secret(at));
        }
        message
    }
}

/// `limits.rate`, with items left out.
fn quoted(parts: &[&str]) -> String {
    let named: Vec<&str> = parts.iter().copied().filter(|p| p.parse::<usize>().is_err()).collect();
    format!("`{}`", named.join("."))
}
