//! The JSON Schema of routes.yaml, in two forms: the long form for the schema check, and for
//! editors a form with shorthands, every linked plugin's `with:` block and the texts of
//! `key_docs.yaml`.

use hookward_core::plugin::Registry;
use hookward_core::{ByteSize, HumanDuration};
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::{key_docs, raw_config};

/// Returns the schema of the whole file in long form. It allows anything in plugins' blocks.
pub(super) fn of_file() -> Value {
    let mut settings = SchemaSettings::draft2020_12();
    settings.inline_subschemas = true;
    let mut schema =
        settings.into_generator().into_root_schema_for::<raw_config::File>().to_value();
    remove_null(&mut schema);
    schema
}

/// Marks the durations and sizes of a plugin's schema with our formats, so that the schema check
/// reports a malformed one at its own place.
pub(super) fn of_plugin(mut schema: Value) -> Value {
    let known = [
        ("HumanDuration", schemars::schema_for!(HumanDuration).to_value(), "period"),
        ("ByteSize", schemars::schema_for!(ByteSize).to_value(), "size"),
    ];
    for (name, ours, format) in known {
        let theirs = schema.get_mut("$defs").and_then(|defs| defs.get_mut(name));
        if let Some(Value::Object(theirs)) = theirs
            && theirs.get("examples") == ours.get("examples")
        {
            theirs.insert("format".to_owned(), format.into());
        }
    }
    schema
}

/// Removes null from a schema: an optional key is omitted or has a value, but serde allows null for
/// `Option` too. Also removes defaults, which the descriptions state in words.
fn remove_null(schema: &mut Value) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(remove_null),
        Value::Object(map) => {
            map.remove("default");
            for keyword in ["type", "enum"] {
                if let Some(Value::Array(list)) = map.get_mut(keyword) {
                    list.retain(|v| !v.is_null() && v != "null");
                    if let ("type", [only]) = (keyword, list.as_slice()) {
                        let only = only.clone();
                        map.insert(keyword.to_owned(), only);
                    }
                }
            }
            if let Some(Value::Array(branches)) = map.get_mut("anyOf") {
                branches.retain(|b| b.get("type") != Some(&"null".into()));
                if let [Value::Object(only)] = branches.as_slice() {
                    let only = only.clone();
                    map.remove("anyOf");
                    for (key, member) in only {
                        map.entry(key).or_insert(member);
                    }
                }
            }
            map.values_mut().for_each(remove_null);
        }
        _ => {}
    }
}

/// Returns the JSON Schema (draft 2020-12) of routes.yaml for editors: with shorthands, the `with:`
/// blocks of all plugins of the registry, and a description of every key.
pub fn json_schema(registry: &Registry) -> Value {
    let mut schema = of_file();
    add_descriptions(&mut schema, &mut Vec::new());
    add_shorthands(&mut schema);
    let mut defs = Map::new();
    for plugin in registry.all() {
        let block = match plugin {
            hookward_core::plugin::Plugin::Provider(p) => (p.schema)(),
            hookward_core::plugin::Plugin::Handler(h) => (h.schema)(),
            // Stores are written as URLs and have no block.
            _ => continue,
        };
        let name = format!("{}.{}", plugin.kind(), plugin.name());
        add_definition(&mut defs, &name, of_plugin(block));
    }
    if let Some(step) =
        schema.pointer_mut("/properties/routes/items/properties/chain/items/anyOf/1")
    {
        let names = registry.names("handler");
        add_block_conditions(step, "handler", names.iter().copied());
    }
    let sources = schema.pointer_mut("/properties/sources").and_then(Value::as_object_mut);
    if let Some(sources) = sources
        && let Some(mut source) = sources.remove("additionalProperties")
    {
        let names = registry.names("provider");
        add_block_conditions(&mut source, "provider", names.iter().copied());
        defs.insert("source".to_owned(), source);
        // A source without `provider` has the one of its own name.
        let named = names.iter().map(|name| {
            let with =
                json!({ "properties": { "with": { "$ref": format!("#/$defs/provider.{name}") } } });
            let has_provider = json!({ "required": ["provider"] });
            (
                name.to_string(),
                json!({ "$ref": "#/$defs/source", "if": { "not": has_provider }, "then": with }),
            )
        });
        sources.insert("properties".to_owned(), Value::Object(named.collect()));
        sources.insert("additionalProperties".to_owned(), json!({ "$ref": "#/$defs/source" }));
    }
    if let Value::Object(map) = &mut schema {
        map.insert("$defs".to_owned(), Value::Object(defs));
    }
    schema
}

/// Adds a condition for each plugin: if `key` names it, then `with` conforms to its schema.
fn add_block_conditions<'a>(
    schema: &mut Value,
    key: &str,
    names: impl Iterator<Item = &'a str> + Clone,
) {
    let Value::Object(map) = schema else { return };
    if let Some(Value::Object(own)) = map.get_mut("properties").and_then(|p| p.get_mut(key)) {
        // Examples are offered as completions. Other names stay allowed, because an app may bring
        // more.
        own.insert("examples".to_owned(), names.clone().collect());
    }
    let cases = names.map(|name| {
        let reference =
            format!("#/$defs/{}.{name}", if key == "handler" { "handler" } else { "provider" });
        json!({
            "if": { "properties": { key: { "const": name } }, "required": [key] },
            "then": { "properties": { "with": { "$ref": reference } } }
        })
    });
    let cases: Vec<Value> = cases.collect();
    if !cases.is_empty() {
        map.insert("allOf".to_owned(), Value::Array(cases));
    }
}

/// Adds a plugin's schema to the definitions, and its own definitions beside it.
fn add_definition(defs: &mut Map<String, Value>, name: &str, mut block: Value) {
    qualify_references(&mut block, name);
    if let Value::Object(map) = &mut block {
        map.remove("$schema");
        if let Some(Value::Object(own)) = map.remove("$defs") {
            own.into_iter().for_each(|(k, v)| drop(defs.insert(format!("{name}.{k}"), v)));
        }
    }
    defs.insert(name.to_owned(), block);
}

/// Prefixes the references of a plugin's schema with the plugin's name.
fn qualify_references(schema: &mut Value, name: &str) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(|v| qualify_references(v, name)),
        Value::Object(map) => {
            if let Some(Value::String(reference)) = map.get_mut("$ref") {
                *reference = match reference.strip_prefix("#/$defs/") {
                    Some(own) => format!("#/$defs/{name}.{own}"),
                    None => format!("#/$defs/{name}"),
                };
            }
            map.values_mut().for_each(|v| qualify_references(v, name));
        }
        _ => {}
    }
}

/// Allows the shorthands beside the long form.
fn add_shorthands(schema: &mut Value) {
    let text = |what: &str| json!({ "type": "string", "minLength": 1, "description": what });
    let mut allow_either = |at: &str, short: Value, first: bool| {
        if let Some(place) = schema.pointer_mut(at) {
            let long = place.take();
            *place = json!({ "anyOf": if first { [short, long] } else { [long, short] } });
        }
    };
    let source = "/properties/sources/additionalProperties/properties";
    let route = "/properties/routes/items/properties";
    allow_either(&format!("{source}/secrets/items"), text("Short for { value: … }."), true);
    let by = json!({
        "enum": ["id_and_body", "id", "content", "none"],
        "description": "Short for { by: … }.",
    });
    allow_either(&format!("{source}/dedupe"), by, true);
    allow_either(&format!("{route}/events"), text("One SOURCE/TYPE."), true);
    allow_either(&format!("{route}/chain/items"), text("Short for { handler: … }."), true);
}

/// Adds the texts of `key_docs.yaml` as descriptions.
fn add_descriptions(schema: &mut Value, path: &mut Vec<String>) {
    let Value::Object(map) = schema else { return };
    if let Some(doc) = key_docs::of_path(&path.join(".")) {
        let mut text = doc.description.trim_end().to_owned();
        if let Some(default) = &doc.default {
            text.push_str(&format!(" Default: {default}."));
        }
        map.insert("description".to_owned(), text.into());
    }
    for (key, member) in
        map.get_mut("properties").and_then(Value::as_object_mut).into_iter().flatten()
    {
        path.push(key.clone());
        add_descriptions(member, path);
        path.pop();
    }
    for keyword in ["items", "additionalProperties"] {
        if let Some(inner) = map.get_mut(keyword) {
            path.push("*".to_owned());
            add_descriptions(inner, path);
            path.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(schema: &Value, path: &str, found: &mut Vec<String>) {
        let join =
            |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
        for (key, member) in
            schema.get("properties").and_then(Value::as_object).into_iter().flatten()
        {
            found.push(join(key));
            keys(member, &join(key), found);
        }
        for inner in ["items", "additionalProperties"].iter().filter_map(|k| schema.get(*k)) {
            if inner.is_object()
                && (inner.get("properties").is_some() || inner.get("type").is_some())
            {
                found.push(join("*"));
                keys(inner, &join("*"), found);
            }
        }
    }

    #[test]
    fn key_docs_document_every_key_and_no_other() {
        let mut found = Vec::new();
        keys(&of_file(), "", &mut found);
        found.sort();
        let documented: Vec<&str> = key_docs::paths().collect();
        assert_eq!(found, documented);
    }

    #[test]
    fn the_schema_of_the_file_does_not_allow_null() {
        assert!(!of_file().to_string().contains("null"));
    }
}
