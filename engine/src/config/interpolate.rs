//! Fills `${VAR}`, `${VAR:-default}`, `${file:path}` and `$$` into the texts of a configuration:
//! into values only, after parsing, so that no value can change the structure or a key.

use std::ops::Range;
use std::path::Path;

use serde_json::Value;

use super::document::{Doc, Filled, Location};
use super::environment::{Environment, MAX_FILE};
use super::pointer;

/// Fills every text; reports everything that cannot be filled, all at once.
pub(super) fn fill(doc: &mut Doc, environment: &dyn Environment, base_dir: &Path) {
    let mut value = std::mem::take(&mut doc.value);
    let mut leaves = Vec::new();
    collect(&value, String::new(), &mut leaves);
    for (at, written) in leaves {
        let mut filler =
            Filler { environment, base_dir, out: String::new(), hidden: vec![], faults: vec![] };
        filler.run(&written);
        for fault in &filler.faults {
            let spot = batch_item(doc, &at, &written, &fault.at);
            let diagnostic = doc.error(spot, fault.message.clone());
            diagnostic.help(fault.help.clone());
            if let Some(label) = fault.label {
                diagnostic.label(label);
            }
        }
        if !filler.faults.is_empty() {
            doc.poison(at);
            continue;
        }
        if let Some(leaf) = value.pointer_mut(&at) {
            *leaf = Value::String(filler.out.clone());
        }
        if !filler.hidden.is_empty() {
            let mut hidden = filler.hidden;
            hidden.insert(0, (filler.out, written.clone()));
            doc.filled.insert(at, Filled { written, hidden });
        }
    }
    doc.value = value;
}

fn collect(value: &Value, at: String, leaves: &mut Vec<(String, String)>) {
    match value {
        Value::String(text) if text.contains('$') => leaves.push((at, text.clone())),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(n, v)| collect(v, pointer::item(&at, n), leaves));
        }
        Value::Object(map) => {
            map.iter().for_each(|(k, v)| collect(v, pointer::join(&at, k), leaves));
        }
        _ => {}
    }
}

/// Where a part of a text stands in the file: exactly, where it is written as it reads.
fn batch_item<'a>(doc: &Doc, at: &'a str, written: &str, part: &Range<usize>) -> Location<'a> {
    let span = doc.value_span(at);
    let raw = doc.text.slice(&span);
    match raw.find(written) {
        Some(start) if !doc.is_secret(at) => {
            Location::Part(at, span.start + start + part.start..span.start + start + part.end)
        }
        _ => Location::Value(at),
    }
}

struct Filler<'a> {
    environment: &'a dyn Environment,
    base_dir: &'a Path,
    out: String,
    hidden: Vec<(String, String)>,
    faults: Vec<Fault>,
}

struct Fault {
    at: Range<usize>,
    message: String,
    label: Option<&'static str>,
    help: String,
}

impl Filler<'_> {
    fn run(&mut self, text: &str) {
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
                        let message = "`${` is not closed".to_owned();
                        let help = "write `${NAME}`, `${NAME:-default}` or `${file:path}`; a dollar sign itself is written `$$`".to_owned();
                        let label = Some("a `}` is missing");
                        self.faults.push(Fault { at: start..text.len(), message, label, help });
                        return;
                    }
                }
            } else {
                self.out.push('$');
                start + 1
            };
        }
    }

    fn reference(&mut self, inner: &str, at: Range<usize>) {
        let shown = format!("${{{inner}}}");
        let found = match inner.strip_prefix("file:") {
            Some(path) => self.file(path.trim()),
            None => self.variable(inner),
        };
        match found {
            Ok(value) => {
                self.out.push_str(&value);
                self.hidden.push((value, shown));
            }
            Err((message, label, help)) => self.faults.push(Fault { at, message, label, help }),
        }
    }

    fn variable(&self, inner: &str) -> Result<String, (String, Option<&'static str>, String)> {
        let (name, default) = match inner.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inner, None),
        };
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if name.is_empty()
            || name.starts_with(|c: char| c.is_ascii_digit())
            || !name.chars().all(word)
        {
            let help = "write `${NAME}`, `${NAME:-default}` or `${file:path}`; names are letters, digits and `_`";
            // The text may be a mistyped secret; only what comes before a sign is a name.
            let name: String = name.chars().take_while(|c| word(*c)).collect();
            return Err((
                format!("`${{{name}…}}` is no reference to a variable or a file"),
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
                    "set {name} before starting, write `${{{name}:-default}}` where it may be absent, or read a file with `${{file:path}}`"
                ),
            )),
        }
    }

    fn file(&self, path: &str) -> Result<String, (String, Option<&'static str>, String)> {
        let help = "write `${file:path}` with a path that can be read here; relative paths start at the folder of routes.yaml";
        let fail = |why: String| {
            (format!("the file `{path}` cannot be read: {why}"), None, help.to_owned())
        };
        if path.is_empty() {
            return Err(("`${file:}` names no file".to_owned(), None, help.to_owned()));
        }
        let bytes =
            self.environment.read(&self.base_dir.join(path)).map_err(|e| fail(reason(&e)))?;
        if bytes.len() > MAX_FILE {
            return Err(fail("it is larger than 1 MiB".to_owned()));
        }
        let text = String::from_utf8(bytes).map_err(|_| fail("it is not UTF-8 text".to_owned()))?;
        // Editors and `echo` end a file with a newline that is no part of the secret.
        let text = text.strip_suffix('\n').unwrap_or(&text);
        Ok(text.strip_suffix('\r').unwrap_or(text).to_owned())
    }
}

/// Why a file cannot be read, without the number that systems put behind it.
pub(super) fn reason(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
        std::io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        std::io::ErrorKind::IsADirectory => "it is a folder".to_owned(),
        _ => error.to_string(),
    }
}
