//! Loading routes.yaml: from its text to a [`CompiledConfig`]. Called at start, at reload and by
//! `hookward check`.
//!
//! The stages, each in a module of its own:
//!
//! 1. `yaml`, `source_map`: parse the text into a value and the positions of its places.
//! 2. `normalize`: rewrite shorthands to the long form.
//! 3. `redact`: find the secrets that messages must not show.
//! 4. `interpolate`: fill in `${…}`.
//! 5. `schema_check`: check the value against the JSON Schema of the file.
//! 6. `compile`: decode each block, build its plugins and check blocks against each other.
//!
//! A stage reports all mistakes that it finds and hands the rest on, so that one run shows every
//! mistake. Nothing here connects, opens a store or spawns a task, and everything read from outside
//! comes through [`Environment`].

mod compile;
mod diagnostic;
mod diagnostics;
mod document;
mod environment;
mod interpolate;
mod key_docs;
mod load_cx;
mod normalize;
mod pointer;
mod raw_config;
mod redact;
mod render;
mod scalars;
mod schema;
mod schema_check;
mod schema_errors;
mod schema_hints;
mod source_map;
mod suggest;
mod syntax;
mod text;
mod yaml;

use std::path::Path;

use hookward_core::plugin::Registry;
use serde_json::Value;

pub use diagnostic::{Diagnostic, Severity};
pub use diagnostics::Diagnostics;
pub use environment::{AccessOfOthers, Environment, MAX_FILE_BYTES, SystemEnvironment};
pub use load_cx::LoadCx;
pub use schema::json_schema;

use crate::compiled::CompiledConfig;
use document::{Document, Location};
use source_map::SourceMap;
use text::SourceText;

const TOO_LARGE: &str = "the configuration is larger than 1 MiB";
const TOO_LARGE_HELP: &str = "a configuration has at most 1 MiB; check the path";

/// A configuration that loaded without errors.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration, ready to be used.
    pub config: CompiledConfig,
    /// What is allowed but probably a mistake.
    pub warnings: Diagnostics,
}

/// Reads and loads the file at `path`.
///
/// # Errors
/// All errors of the file, together with its warnings.
pub fn load(path: &Path, cx: &LoadCx<'_>) -> Result<Loaded, Diagnostics> {
    let shown_path = path.display().to_string();
    let unreadable = |line, message: String, help: &str| {
        Err(Diagnostics::unreadable(shown_path.clone(), line, message, help))
    };
    let bytes = match cx.environment.read(path) {
        Ok(bytes) => bytes,
        Err(e) => {
            let reason = environment::read_error(&e);
            let message = format!("the configuration cannot be read: {reason}");
            return unreadable(1, message, "give the path of a routes.yaml that can be read");
        }
    };
    if bytes.len() > MAX_FILE_BYTES {
        return unreadable(1, TOO_LARGE.to_owned(), TOO_LARGE_HELP);
    }
    match String::from_utf8(bytes) {
        Ok(text) => load_text(path, &text, cx),
        Err(e) => {
            let valid_bytes = e.utf8_error().valid_up_to();
            let lines = e.as_bytes().iter().take(valid_bytes).filter(|b| **b == b'\n').count();
            let message = "the configuration is not UTF-8 text: this line has an invalid byte";
            unreadable(lines + 1, message.to_owned(), "save the file in UTF-8")
        }
    }
}

/// Loads a text as if it were the file at `path`: messages name that path, and relative paths in
/// the text start at its folder.
///
/// # Errors
/// All errors of the text, together with its warnings.
pub fn load_text(path: &Path, text: &str, cx: &LoadCx<'_>) -> Result<Loaded, Diagnostics> {
    let shown_path = path.display().to_string();
    if text.len() > MAX_FILE_BYTES {
        let message = TOO_LARGE.to_owned();
        return Err(Diagnostics::unreadable(shown_path, 1, message, TOO_LARGE_HELP));
    }
    let base_dir = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut document = parse(SourceText::new(shown_path, text));
    if document.value.is_object() {
        normalize::rewrite(&mut document.value);
        document.masked = redact::secret_spans(
            &document.text,
            &document.source_map,
            &document.value,
            cx.registry,
        );
        interpolate::fill(&mut document, cx.environment, base_dir);
        schema_check::check(&mut document, &schema::of_file(), "");
        if let Some(config) = compile::compile(&mut document, cx, path, base_dir) {
            return Ok(Loaded { config, warnings: document.finish() });
        }
    }
    Err(document.finish())
}

/// Parses the YAML. A document whose value is not a mapping has its error already.
fn parse(text: SourceText) -> Document {
    let (source_map, errors) = SourceMap::read(&text);
    let has_fatal_error = errors.iter().any(|e| e.fatal);
    let mut document = Document::new(text, source_map);
    if has_fatal_error {
        document.masked = redact::secret_spans_by_line(&document.text);
    }
    for error in errors {
        let diagnostic = document.push(Severity::Error, String::new(), error.span, error.message);
        if let Some(help) = error.help {
            diagnostic.help(help);
        }
        if let Some((span, label)) = error.related {
            diagnostic.label("written again here").related(span, label);
        }
    }
    if has_fatal_error {
        return document;
    }
    match yaml::parse(&document.text.text) {
        Ok(parsed) => {
            document.value = parsed.value;
            for at in parsed.unmerged {
                document
                    .error(Location::Value(&at), "`<<` can merge mappings only")
                    .help("write `<<: *name`, where `name` is the anchor of a mapping, or a list of such aliases");
            }
            reject_other_than_mapping(&mut document);
        }
        Err(error) => report_parse_error(&mut document, error),
    }
    document
}

fn report_parse_error(document: &mut Document, error: yaml::ParseError) {
    let no_plugins = Registry::empty();
    document.masked =
        redact::secret_spans(&document.text, &document.source_map, &document.value, &no_plugins);
    // A tag is reported with the source map; serde_yaml then fails on it a second time.
    if !document.has_errors() {
        let at = error.at.map_or(0, |(line, column)| document.text.offset(line, column));
        document
            .push(Severity::Error, String::new(), at..at, error.message)
            .help("check quotes, brackets and indentation here and on the line before");
    }
}

fn reject_other_than_mapping(document: &mut Document) {
    if document.value.is_object() {
        return;
    }
    document.masked = redact::secret_spans_by_line(&document.text);
    let message = match &document.value {
        Value::Null => "the configuration is empty".to_owned(),
        other => {
            format!("the configuration must be a mapping, not {}", document.describe("", other))
        }
    };
    document.push(Severity::Error, String::new(), 0..0, message).help(
        "start with `sources:` and `routes:`; the smallest file is `sources: { stripe: { secrets: [\"${STRIPE_WEBHOOK_SECRET}\"] } }`",
    );
}
