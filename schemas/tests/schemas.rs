//! The built-in schemas against the payloads in `tests/data/<provider>/<event>/`: each accepts the
//! payloads in `accepted/`, and rejects every change that `rejected.json` makes to one of them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jsonschema::{PatternOptions, Validator};
use serde_json::Value;

/// Compiles a schema as the engine does: nothing is fetched, and patterns run in linear time.
fn compile(name: &str) -> Validator {
    jsonschema::options()
        .offline()
        .with_pattern_options(PatternOptions::regex())
        .build(&schema(name))
        .unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn schema(name: &str) -> Value {
    serde_json::from_str(hookward_schemas::get(name).unwrap())
        .unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn read(path: &Path) -> Value {
    let text =
        std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn data_folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

/// The payloads that the schema of an event must accept, by file name.
fn accepted(name: &str) -> BTreeMap<String, Value> {
    let folder = data_folder(name).join("accepted");
    let files =
        std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    files
        .map(|file| file.unwrap().path())
        .map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), read(&path)))
        .collect()
}

/// The errors of a payload, each as its place in the payload and the keyword that it violates.
fn errors(validator: &Validator, payload: &Value) -> Vec<(String, String)> {
    validator
        .iter_errors(payload)
        .map(|error| (error.instance_path().to_string(), error.kind().keyword().to_owned()))
        .collect()
}

fn set(payload: &mut Value, pointer: &str, value: Value) {
    *payload.pointer_mut(pointer).unwrap_or_else(|| panic!("no {pointer} to change")) = value;
}

fn remove(payload: &mut Value, pointer: &str) {
    let (parent, member) = pointer.rsplit_once('/').unwrap();
    let parent = payload.pointer_mut(parent).and_then(Value::as_object_mut);
    assert!(parent.and_then(|members| members.remove(member)).is_some(), "no {pointer} to remove");
}

fn each_object(value: &mut Value, visit: &mut impl FnMut(&mut serde_json::Map<String, Value>)) {
    match value {
        Value::Object(members) => {
            members.values_mut().for_each(|member| each_object(member, visit));
            visit(members);
        }
        Value::Array(items) => items.iter_mut().for_each(|item| each_object(item, visit)),
        _ => {}
    }
}

#[test]
fn every_schema_compiles_offline_with_linear_patterns() {
    for name in hookward_schemas::names() {
        compile(name);
    }
}

#[test]
fn every_schema_has_an_id_a_title_and_a_description() {
    for name in hookward_schemas::names() {
        let schema = schema(name);
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema", "{name}");
        assert_eq!(schema["$id"], format!("urn:hookward:schema:{name}"));
        for member in ["title", "description"] {
            assert!(
                schema[member].as_str().is_some_and(|text| text.len() > 10),
                "{name}: {member}"
            );
        }
    }
}

#[test]
fn every_schema_file_is_listed_once_and_the_list_is_sorted() {
    let names: Vec<_> = hookward_schemas::names().collect();
    assert!(names.is_sorted_by(|a, b| a < b), "{names:?}");

    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    let mut folders: Vec<_> =
        ["github", "shopify", "stripe"].map(|folder| root.join(folder)).into();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap();
                found.push(name.strip_suffix(".json").unwrap().to_owned());
            }
        }
    }
    found.sort();
    assert_eq!(found, names);
}

#[test]
fn get_finds_a_schema_by_its_exact_name_alone() {
    for (name, text) in hookward_schemas::ALL {
        assert_eq!(hookward_schemas::get(name), Some(*text));
    }
    for unknown in ["", "stripe", "stripe/", "stripe/payment_intent.succeeded.json", "push"] {
        assert_eq!(hookward_schemas::get(unknown), None, "{unknown}");
    }
}

#[test]
fn schemas_accept_the_payloads_of_providers() {
    for name in hookward_schemas::names() {
        let validator = compile(name);
        let payloads = accepted(name);
        assert!(!payloads.is_empty(), "{name} has no accepted payload");
        for (file, payload) in payloads {
            assert_eq!(errors(&validator, &payload), [], "{name}: {file}");
            assert!(validator.is_valid(&payload), "{name}: {file}");
        }
    }
}

#[test]
fn schemas_accept_members_that_a_provider_adds_later() {
    for name in hookward_schemas::names() {
        let validator = compile(name);
        for (file, mut payload) in accepted(name) {
            // Text, because the values of Stripe's `metadata` must be text.
            each_object(&mut payload, &mut |members| {
                members.insert("added_later".into(), "?".into());
            });
            assert_eq!(errors(&validator, &payload), [], "{name}: {file}");
        }
    }
}

#[test]
fn schemas_reject_each_mistake_at_its_place() {
    for name in hookward_schemas::names() {
        let validator = compile(name);
        let payloads = accepted(name);
        let mistakes = read(&data_folder(name).join("rejected.json"));
        for mistake in mistakes.as_array().unwrap() {
            let what = format!("{name}: {}", mistake["name"].as_str().unwrap());
            let mut payload = payloads[mistake["from"].as_str().unwrap()].clone();
            for (pointer, value) in mistake["set"].as_object().into_iter().flatten() {
                set(&mut payload, pointer, value.clone());
            }
            if let Some(pointer) = mistake["remove"].as_str() {
                remove(&mut payload, pointer);
            }
            let expected = ["at", "keyword"].map(|key| mistake[key].as_str().unwrap().to_owned());
            assert_eq!(errors(&validator, &payload), [expected.into()], "{what}");
            assert!(!validator.is_valid(&payload), "{what}");
        }
    }
}
