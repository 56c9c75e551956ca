//! Generates a constant descriptor for each file in `data/`. A malformed file fails the build; a
//! mistake in its scheme fails the tests, since only `hookward-core` parses schemes.

use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

use serde_json::Value;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=data");
    let mut files: Vec<_> = fs::read_dir("data")?.collect::<Result<_, _>>()?;
    files.sort_by_key(|file| file.file_name());
    let (mut data, mut descriptors) = (String::new(), String::new());
    for file in files {
        let path = file.path();
        let (entry, descriptor) =
            descriptor(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        data.push_str(&entry);
        descriptors.push_str(&descriptor);
    }
    let code = format!(
        "/// The data files: name and JSON, by name.\n\
         pub const DATA: &[(&str, &str)] = &[\n{data}];\n\
         hookward_core::register_provider_descriptors!(\n{descriptors});\n"
    );
    let out = env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?;
    fs::write(Path::new(&out).join("catalogue.rs"), code)?;
    Ok(())
}

/// Returns the entry of a file in `DATA`, and its descriptor.
fn descriptor(path: &Path) -> Result<(String, String), Box<dyn Error>> {
    let entry: Value = serde_json::from_str(&fs::read_to_string(path)?)?;
    let text = |key: &str| {
        entry
            .get(key)
            .and_then(Value::as_str)
            .ok_or_else(|| format!("`{key}` is missing or not a string"))
    };
    let name = text("name")?;
    if path.file_name().and_then(|f| f.to_str()) != Some(&format!("{name}.json")) {
        return Err("the file name differs from `name` in it".into());
    }
    let texts = |key: &str| -> Result<Vec<&str>, String> {
        let items = entry.get(key).and_then(Value::as_array).into_iter().flatten();
        items
            .map(|item| item.as_str().ok_or(format!("`{key}` has an item that is not a string")))
            .collect()
    };
    let mut methods = texts("methods")?;
    if methods.is_empty() {
        methods.push("POST");
    }
    let mut samples = String::new();
    for sample in entry.get("samples").and_then(Value::as_array).into_iter().flatten() {
        let event_type = sample
            .get("event_type")
            .and_then(Value::as_str)
            .ok_or("a sample without `event_type`")?;
        let id_prefix = sample.get("id_prefix").and_then(Value::as_str).unwrap_or_default();
        // A string is a body that is JSON only after its placeholders are replaced by numbers.
        let body = match sample.get("body") {
            None => return Err("a sample without `body`".into()),
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        };
        write!(
            samples,
            "hookward_core::SampleEvent::new({event_type:?}, {id_prefix:?}, {body:?}), "
        )?;
    }
    let data = format!("    ({name:?}, {:?}),\n", entry.to_string());
    let (json, tolerance) = (entry.to_string(), tolerance(&entry));
    let descriptor = format!(
        "hookward_core::plugin::ProviderDescriptor::new(
            {name:?}, {:?}, ORIGIN, || entry::schema({json:?}),
            |with, _| entry::build({json:?}, with),
        )
        .with_methods(&{methods:?})
        .with_media_types(&{:?})
        .with_keep_headers(&{:?})
        .with_tolerance({tolerance})
        .with_samples(&[{samples}])
        .with_scheme(|with| entry::scheme({json:?}, with)),\n",
        text("summary")?,
        texts("media_types")?,
        texts("keep_headers")?,
    );
    Ok((data, descriptor))
}

/// Returns the tolerance if all schemes with a signed time have the same one, in both directions.
fn tolerance(entry: &Value) -> String {
    let several =
        entry.get("schemes").and_then(Value::as_object).into_iter().flat_map(|all| all.values());
    let mut windows = several.chain(entry.get("scheme")).filter_map(|s| s.get("timestamp"));
    let window = |time: &Value| {
        let past = time.get("past")?.as_u64()?;
        (time.get("future")?.as_u64()? == past).then_some(past)
    };
    match windows.next().map(window) {
        Some(Some(first)) if windows.all(|other| window(other) == Some(first)) => {
            format!("Some(std::time::Duration::from_secs({first}))")
        }
        _ => "None".to_owned(),
    }
}
