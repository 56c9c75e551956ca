//! routes.yaml, from text to configuration, in gates: read, parse, long form, fill in, shape, decode and
//! build each part, cross-check. Every gate reports all it finds and hands the rest on, so that one
//! run shows every mistake. Called at start, at reload and by `hookward check`.
//!
//! Nothing here connects, opens a store or spawns; what is read from outside comes through
//! [`Environment`].

mod compile;
mod diagnostics;
mod document;
mod environment;
mod interpolate;
mod key_docs;
mod normalize;
mod pointer;
mod raw_config;
mod redact;
mod render;
mod scalars;
mod schema;
mod schema_check;
mod schema_errors;
mod source_map;
mod suggest;
mod syntax;
mod text;
mod yaml;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use hookward_core::plugin::Registry;
use hookward_core::{Handler, Timestamp};

pub use diagnostics::{Diagnostic, Diagnostics, Severity};
pub use environment::{Environment, MAX_FILE, SystemEnvironment};
pub use schema::json_schema;

use crate::compiled::CompiledConfig;
use document::{Doc, Location};
use source_map::Outline;
use text::SourceText;

/// What a configuration may refer to.
#[derive(Clone, Copy)]
pub struct LoadCx<'a> {
    /// The plugins of this program.
    pub registry: &'a Registry,
    /// Variables and files.
    pub environment: &'a dyn Environment,
    /// Schemas that `builtin:NAME` finds: name and text.
    pub builtin_schemas: &'a [(&'static str, &'static str)],
    /// Handlers that the app brings as functions, by name.
    pub handlers: &'a BTreeMap<String, Arc<dyn Handler>>,
    /// The present moment, for secrets whose end has passed.
    pub now: Timestamp,
}

/// A configuration that passed every gate.
#[derive(Debug)]
pub struct Loaded {
    /// What it says.
    pub config: CompiledConfig,
    /// What is probably not meant so.
    pub warnings: Diagnostics,
}

/// Reads and loads a file. The errors come with the warnings.
pub fn load(path: &Path, cx: &LoadCx<'_>) -> Result<Loaded, Diagnostics> {
    let shown = path.display().to_string();
    let unreadable = |line, message: String, help: &str| {
        Err(Diagnostics::unreadable(shown.clone(), line, message, help))
    };
    let bytes = match cx.environment.read(path) {
        Ok(bytes) => bytes,
        Err(e) => {
            let message = format!("the configuration cannot be read: {}", interpolate::reason(&e));
            return unreadable(1, message, "give the path of a routes.yaml that can be read");
        }
    };
    if bytes.len() > MAX_FILE {
        let help = "a configuration has at most 1 MiB; is this the right file?";
        return unreadable(1, "the configuration is larger than 1 MiB".to_owned(), help);
    }
    match String::from_utf8(bytes) {
        Ok(text) => load_text(path, &text, cx),
        Err(e) => {
            let good = e.utf8_error().valid_up_to();
            let line = e.as_bytes().iter().take(good).filter(|b| **b == b'\n').count() + 1;
            let message = "the configuration is not UTF-8 text: this line has a wrong byte";
            unreadable(line, message.to_owned(), "save the file in UTF-8")
        }
    }
}

/// Loads a text as if it were the file at `path`, at whose folder relative paths start.
pub fn load_text(path: &Path, text: &str, cx: &LoadCx<'_>) -> Result<Loaded, Diagnostics> {
    let shown = path.display().to_string();
    if text.len() > MAX_FILE {
        let help = "a configuration has at most 1 MiB; is this the right file?";
        let message = "the configuration is larger than 1 MiB".to_owned();
        return Err(Diagnostics::unreadable(shown, 1, message, help));
    }
    let base_dir = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut doc = parse(SourceText::new(shown, text));
    if doc.value.is_object() {
        normalize::rewrite(&mut doc.value);
        doc.masked = redact::by_outline(&doc.text, &doc.outline, &doc.value, cx.registry);
        let written = doc.value.clone();
        interpolate::fill(&mut doc, cx.environment, base_dir);
        schema_check::check(&mut doc, &schema::of_file(), "");
        if let Some(config) = compile::compile(&mut doc, cx, path, base_dir, &written) {
            return Ok(Loaded { config, warnings: doc.finish() });
        }
    }
    Err(doc.finish())
}

/// The first gate: YAML. A value that is no mapping has already been reported.
fn parse(text: SourceText) -> Doc {
    let (outline, flaws) = Outline::read(&text);
    let fatal = flaws.iter().any(|f| f.fatal);
    let mut doc = Doc::new(text, outline);
    if fatal {
        doc.masked = redact::by_lines(&doc.text);
    }
    for flaw in flaws {
        let diagnostic = doc.push(Severity::Error, String::new(), flaw.span, flaw.message);
        if let Some(help) = flaw.help {
            diagnostic.help(help);
        }
        if let Some((span, label)) = flaw.related {
            diagnostic.label("written again here").related(span, label);
        }
    }
    if fatal {
        return doc;
    }
    match yaml::parse(&doc.text.text) {
        Ok((value, unmerged)) => {
            doc.value = value;
            for at in unmerged {
                doc.error(Location::Value(&at), "`<<` takes in mappings only").help(
                    "write `<<: *name`, where `name` is anchored at a mapping, or a list of such",
                );
            }
        }
        Err(error) => {
            let at = error.at.map_or(0, |(line, column)| doc.text.offset(line, column));
            // With tags in it the text has an outline all the same, and has been complained about.
            let nothing = Registry::empty();
            doc.masked = redact::by_outline(&doc.text, &doc.outline, &doc.value, &nothing);
            if !doc.failed() {
                doc.push(Severity::Error, String::new(), at..at, error.message)
                    .help("check quotes, brackets and indentation here and on the line before");
            }
            return doc;
        }
    }
    if !doc.value.is_object() {
        doc.masked = redact::by_lines(&doc.text);
        let message = match &doc.value {
            serde_json::Value::Null => "the configuration is empty".to_owned(),
            other => format!("the configuration must be a mapping, not {}", doc.shown("", other)),
        };
        doc.push(Severity::Error, String::new(), 0..0, message).help(
            "start with `sources:` and `routes:`; the smallest file is `sources: { stripe: { secrets: [\"${STRIPE_WEBHOOK_SECRET}\"] } }`",
        );
    }
    doc
}
