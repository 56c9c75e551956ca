//! Fills in `${VAR}`, `${VAR:-default}`, `${file:path}` and `$$`.
//!
//! References are filled in after parsing and in values alone, so that the value of a variable can
//! change neither a key nor the structure of the file.

use std::ops::Range;
use std::path::Path;

use serde_json::Value;

use super::document::{Document, FilledText, Location};
use super::environment::{Environment, read_text};
use super::pointer;

/// Fills in every text value, and reports every reference that cannot be filled in.
pub(super) fn fill(document: &mut Document, environment: &dyn Environment, base_dir: &Path) {
    let mut value = std::mem::take(&mut document.value);
    let mut texts = Vec::new();
    collect(&value, String::new(), &mut texts);
    for (at, written) in texts {
        let mut filler = Filler {
            environment,
            base_dir,
            out: String::new(),
            hidden_values: vec![],
            errors: vec![],
        };
        filler.fill(&written);
        for error in &filler.errors {
            let location = locate_part(document, &at, &written, &error.at);
            let diagnostic = document.error(location, error.message.clone());
            diagnostic.help(error.help.clone());
            if let Some(label) = error.label {
                diagnostic.label(label);
            }
        }
        if !filler.errors.is_empty() {
            document.mark_error(at);
            continue;
        }
        if let Some(text) = value.pointer_mut(&at) {
            *text = Value::String(filler.out.clone());
        }
        if !filler.hidden_values.is_empty() {
            let mut hidden_values = filler.hidden_values;
            hidden_values.insert(0, (filler.out, written.clone()));
            document.filled.insert(at, FilledText { written, hidden_values });
        }
    }
    document.value = value;
}

/// Collects the texts that have a `$`, with their pointers.
fn collect(value: &Value, at: String, texts: &mut Vec<(String, String)>) {
    match value {
        Value::String(text) if text.contains('$') => texts.push((at, text.clone())),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(n, v)| collect(v, pointer::item(&at, n), texts));
        }
        Value::Object(map) => {
            map.iter().for_each(|(k, v)| collect(v, pointer::join(&at, k), texts));
        }
        _ => {}
    }
}

/// Locates a part of a text in the file. In a text with escapes or a secret, the whole value stands
/// for the part.
fn locate_part<'a>(
    document: &Document,
    at: &'a str,
    written: &str,
    part: &Range<usize>,
) -> Location<'a> {
    let span = document.value_span(at);
    let raw = document.text.slice(&span);
    match raw.find(written) {
        Some(start) if !document.is_secret(at) => {
            Location::Part(at, span.start + start + part.start..span.start + start + part.end)
        }
        _ => Location::Value(at),
    }
}

/// Fills in the references of one text.
struct Filler<'a> {
    environment: &'a dyn Environment,
    base_dir: &'a Path,
    /// The text filled in so far.
    out: String,
    /// Each value that was filled in, with its reference.
    hidden_values: Vec<(String, String)>,
    errors: Vec<ReferenceError>,
}

/// Why a reference cannot be filled in: message, label and help.
type MessageLabelHelp = (String, Option<&'static str>, String);

/// A reference that cannot be filled in.
struct ReferenceError {
    /// The bytes of the reference in the text.
    at: Range<usize>,
    message: String,
    label: Option<&'static str>,
    help: String,
}

impl Filler<'_> {
    fn fill(&mut self, text: &str) {
        let mut at = 0;
        while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
            let Some(dollar) = rest.find('$') else {
                self.out.push_str(rest);
                return;
            };
            self.out.push_str(rest.get(..dollar).unwrap_or_default());
            let start = at + dollar;
            let after = text.get(start + 1..).unwrap_or_default();
            at = if after.starts_with('$') {
                self.out.push('$');
                start + 2
            } else if let Some(inner) = after.strip_prefix('{') {
                match inner.find('}') {
                    Some(end) => {
                        let whole = start..start + 2 + end + 1;
                        self.reference(inner.get(..end).unwrap_or_default(), whole.clone());
                        whole.end
                    }
                    None => {
                        let message = "this `${` has no closing `}`".to_owned();
                        let help = "write `${NAME}`, `${NAME:-default}` or `${file:path}`; a dollar sign itself is written `$$`".to_owned();
                        let label = Some("`}` is missing");
                        self.errors.push(ReferenceError {
                            at: start..text.len(),
                            message,
                            label,
                            help,
                        });
                        return;
                    }
                }
            } else {
                self.out.push('$');
                start + 1
            };
        }
    }

    /// Fills in the reference `${inner}`, or records why it cannot be.
    fn reference(&mut self, inner: &str, at: Range<usize>) {
        let reference = format!("${{{inner}}}");
        let found = match inner.strip_prefix("file:") {
            Some(path) => self.file(path.trim()),
            None => self.variable(inner),
        };
        match found {
            Ok(value) => {
                self.out.push_str(&value);
                self.hidden_values.push((value, reference));
            }
            Err((message, label, help)) => {
                self.errors.push(ReferenceError { at, message, label, help })
            }
        }
    }

    fn variable(&self, inner: &str) -> Result<String, MessageLabelHelp> {
        let (name, default) = match inner.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inner, None),
        };
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if name.is_empty()
            || name.starts_with(|c: char| c.is_ascii_digit())
            || !name.chars().all(is_word)
        {
            let help = "write `${NAME}`, `${NAME:-default}` or `${file:path}`; a NAME has letters, digits and `_`";
            // The text may be a secret in the wrong place, so the message shows its first word
            // alone.
            let name: String = name.chars().take_while(|c| is_word(*c)).collect();
            return Err((
                format!("`${{{name}…}}` is not a reference to a variable or a file"),
                None,
                help.to_owned(),
            ));
        }
        let value = self.environment.var(name);
        match (value, default) {
            (Some(value), None) => Ok(value),
            (Some(value), Some(_)) if !value.is_empty() => Ok(value),
            (_, Some(default)) => Ok(default.to_owned()),
            (None, None) => Err((
                format!("the environment variable `{name}` is not set"),
                Some("needed here"),
                format!(
                    "set {name} before starting, write `${{{name}:-default}}` if it is optional, or read a file with `${{file:path}}`"
                ),
            )),
        }
    }

    fn file(&self, path: &str) -> Result<String, MessageLabelHelp> {
        let help = "write `${file:path}` with a path that this program can read; relative paths start at the folder of routes.yaml";
        if path.is_empty() {
            return Err(("`${file:}` names no file".to_owned(), None, help.to_owned()));
        }
        let text = read_text(self.environment, &self.base_dir.join(path)).map_err(|reason| {
            (format!("the file `{path}` cannot be read: {reason}"), None, help.to_owned())
        })?;
        // Editors and `echo` end a file with a newline, which is not a part of the secret.
        let text = text.strip_suffix('\n').unwrap_or(&text);
        Ok(text.strip_suffix('\r').unwrap_or(text).to_owned())
    }
}
