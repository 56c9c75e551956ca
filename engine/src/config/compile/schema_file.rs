//! `schema:` of a route: a JSON Schema in a file, or a built-in one by `builtin:NAME`.

use hookward_core::{Body, ExactJson};
use serde_json::Value;

use super::compile_cx::CompileCx;
use crate::config::document::Location;
use crate::config::environment::read_text;
use crate::config::suggest::{nearest, quoted_list};
use crate::routing::EventSchema;

/// Finds, reads and compiles the schema that `written` names; reports why it cannot be used.
pub(super) fn load(cx: &mut CompileCx<'_>, at: &str, written: &str) -> Option<EventSchema> {
    let text = match written.strip_prefix("builtin:") {
        Some(name) => find_builtin(cx, at, name)?.to_owned(),
        None => read_file(cx, at, written)?,
    };
    let schema: Value = match serde_json::from_str(&text) {
        Ok(schema) => schema,
        Err(e) => {
            let place = format!("{written}:{}:{}", e.line(), e.column());
            let reason = e.to_string();
            let reason = reason.split(" at line ").next().unwrap_or_default();
            cx.document
                .error(Location::Value(at), format!("the schema is not JSON: {place}: {reason}"))
                .help("correct the file; it must hold one JSON Schema (draft 2020-12 unless `$schema` names another)");
            return None;
        }
    };
    // For the numbers with many digits. A schema that repeats a key or is very deep has none.
    let body = Body::new(text);
    let exact = body.exact_json().unwrap_or_else(|_| ExactJson::from(&schema));
    match EventSchema::compile(written, exact) {
        Ok(schema) => Some(schema),
        Err(reason) => {
            cx.document
                .error(
                    Location::Value(at),
                    format!("`{written}` is not a usable JSON Schema: {reason}"),
                )
                .help("allowed: references inside the file, for nothing is fetched, and patterns without look-around and back-references");
            None
        }
    }
}

fn find_builtin(cx: &mut CompileCx<'_>, at: &str, name: &str) -> Option<&'static str> {
    let all = cx.load.builtin_schemas;
    if let Some((_, text)) = all.iter().find(|(known, _)| *known == name) {
        return Some(text);
    }
    let near = nearest(name, all.iter().map(|(known, _)| *known));
    let diagnostic =
        cx.document.error(Location::Value(at), format!("there is no built-in schema `{name}`"));
    if let Some(near) = near {
        diagnostic.label(format!("did you mean `builtin:{near}`?"));
    }
    diagnostic.help(match all.is_empty() {
        true => "this program has no built-in schemas; write the path of a file".to_owned(),
        false => format!("built in: {}", quoted_list(all.iter().map(|(name, _)| name))),
    });
    None
}

fn read_file(cx: &mut CompileCx<'_>, at: &str, written: &str) -> Option<String> {
    match read_text(cx.load.environment, &cx.base_dir.join(written)) {
        Ok(text) => Some(text),
        Err(reason) => {
            cx.document
                .error(
                    Location::Value(at),
                    format!("the schema `{written}` cannot be read: {reason}"),
                )
                .help("write a path relative to the folder of routes.yaml, or `builtin:PROVIDER/TYPE` for a schema that comes with Hookward");
            None
        }
    }
}
