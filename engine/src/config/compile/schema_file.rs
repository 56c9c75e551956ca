//! `schema:` of a route: a file, or one of ours by `builtin:NAME`.

use serde_json::Value;

use super::{Gate, Location};
use crate::config::MAX_FILE;
use crate::config::interpolate::reason;
use crate::config::suggest::{listed, nearest};
use crate::routing::EventSchema;

/// Finds, reads and compiles it.
pub(super) fn load(gate: &mut Gate<'_>, at: &str, written: &str) -> Option<EventSchema> {
    let text = match written.strip_prefix("builtin:") {
        Some(name) => builtin(gate, at, name)?.to_owned(),
        None => file(gate, at, written)?,
    };
    let schema: Value = match serde_json::from_str(&text) {
        Ok(schema) => schema,
        Err(e) => {
            let place = format!("{written}:{}:{}", e.line(), e.column());
            let why = e.to_string();
            let why = why.split(" at line ").next().unwrap_or_default().to_owned();
            gate.doc
                .error(Location::Value(at), format!("the schema is not JSON: {place}: {why}"))
                .help("correct the file; it must hold one JSON Schema (draft 2020-12 unless `$schema` says otherwise)");
            return None;
        }
    };
    match EventSchema::compile(written, &schema) {
        Ok(schema) => Some(schema),
        Err(why) => {
            gate.doc
                .error(Location::Value(at), format!("`{written}` is no usable JSON Schema: {why}"))
                .help("references must stay inside the file (nothing is fetched), and patterns must do without look-around and back-references");
            None
        }
    }
}

fn builtin(gate: &mut Gate<'_>, at: &str, name: &str) -> Option<&'static str> {
    let all = gate.cx.builtin_schemas;
    if let Some((_, text)) = all.iter().find(|(known, _)| *known == name) {
        return Some(text);
    }
    let near = nearest(name, all.iter().map(|(known, _)| *known));
    let diagnostic =
        gate.doc.error(Location::Value(at), format!("there is no built-in schema `{name}`"));
    if let Some(near) = near {
        diagnostic.label(format!("did you mean `builtin:{near}`?"));
    }
    diagnostic.help(match all.is_empty() {
        true => "this program brings no built-in schemas; name a file".to_owned(),
        false => format!("built in: {}", listed(all.iter().map(|(name, _)| name))),
    });
    None
}

fn file(gate: &mut Gate<'_>, at: &str, written: &str) -> Option<String> {
    let path = gate.base_dir.join(written);
    let why = match gate.cx.environment.read(&path) {
        Ok(bytes) if bytes.len() > MAX_FILE => "it is larger than 1 MiB".to_owned(),
        Ok(bytes) => match String::from_utf8(bytes) {
            Ok(text) => return Some(text),
            Err(_) => "it is not UTF-8 text".to_owned(),
        },
        Err(e) => reason(&e),
    };
    gate.doc.error(Location::Value(at), format!("the schema `{written}` cannot be read: {why}")).help(
        "paths start at the folder of routes.yaml; `builtin:PROVIDER/TYPE` names a schema that comes with Hookward",
    );
    None
}
