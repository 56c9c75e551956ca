//! `hookward new provider NAME`: the scheme as data, and vectors that were signed with it.

use std::path::PathBuf;
use std::time::Duration;

use hookward_core::plugin::Registry;
use hookward_core::{Body, EventDraft, HumanDuration, Request, Secret, Timestamp};
use serde_json::{Map, Value, json};

use super::Target;
use super::crate_files::CrateFiles;
use super::dependency_source::DependencySource;
use super::name::Name;
use super::scheme::{self, NewScheme, SchemeArgs};

/// The time at which the vectors are signed and verified.
const NOW: Timestamp = Timestamp::from_secs(1_760_000_000);
const EVENT_TYPE: &str = "thing.happened";

#[derive(Debug, clap::Args)]
pub(super) struct ProviderArgs {
    /// The sender's name, such as `acme`
    name: String,
    #[command(flatten)]
    scheme: SchemeArgs,
    #[command(flatten)]
    target: Target,
}

pub(super) fn render(
    args: &ProviderArgs,
    registry: &Registry,
) -> Result<(CrateFiles, PathBuf), String> {
    let name = Name::parse(&args.name)?;
    if registry.provider(&name.snake).is_some() {
        return Err(format!(
            "this build has a provider `{0}` already: `hookward send {0} TYPE --print` shows what it signs. Choose another name",
            name.snake
        ));
    }
    let package = format!("hookward-provider-{}", name.kebab);
    let folder = args.target.dir.clone().unwrap_or_else(|| PathBuf::from(&package));
    let source = DependencySource::find(args.target.hookward.as_deref(), &folder)?;
    let new_scheme = scheme::choose(&args.scheme, &name)?;
    let sample = sample_body(&new_scheme.json);
    let secrets = test_secrets(&new_scheme.json, &name);
    let vectors = sign_vectors(&new_scheme, &name, &sample, &secrets)?;
    let (tolerance, import) = tolerance_code(&new_scheme.json);
    let keep_headers = format!("{:?}", naming_headers(&new_scheme.json));
    let token = new_scheme.json.pointer("/alg") == Some(&json!("equal"));
    let unsigned = if token { ".body_is_not_signed()" } else { "" };
    let (core, kit) = (
        source.dependency("hookward-core", "core"),
        source.dependency("hookward-testkit", "tests/kit"),
    );
    let values = [
        ("%PACKAGE%", package.as_str()),
        ("%CRATE%", &package.replace('-', "_")),
        ("%NAME%", &name.snake),
        ("%NAME_UPPER%", &name.snake.to_uppercase()),
        ("%Type%", &name.camel),
        ("%SECRET%", &secrets[0]),
        ("%OTHER_SECRET%", &secrets[1]),
        ("%TOLERANCE%", &tolerance),
        ("%USE_DURATION%", import),
        ("%KEEP_HEADERS%", &keep_headers),
        ("%UNSIGNED%", unsigned),
        ("%CORE%", &core),
        ("%KIT%", &kit),
        ("%HOOKWARD%", &source.dependency("hookward", "server")),
        ("%WORKSPACE%", source.workspace()),
    ];
    let mut files = CrateFiles::default();
    let mut add = |path, template| files.add_template(path, template, &values);
    add("Cargo.toml", include_str!("../../../templates/provider/Cargo.toml.in"));
    add("README.md", include_str!("../../../templates/provider/README.md.in"));
    add("routes.yaml", include_str!("../../../templates/provider/routes.yaml.in"));
    add("src/lib.rs", include_str!("../../../templates/provider/lib.rs.in"));
    add("tests/contract.rs", include_str!("../../../templates/provider/contract.rs.in"));
    files.add_text("src/scheme.json", to_pretty_json(&new_scheme.json));
    files.add_text("src/samples/any.json", to_pretty_json(&sample));
    files.add_text("schemas/thing.happened.json", to_pretty_json(&event_schema(&sample)));
    files.add_text("tests/vectors.json", to_pretty_json(&vectors));
    Ok((files, folder))
}

fn to_pretty_json(value: &Value) -> String {
    let mut text = serde_json::to_string_pretty(value).unwrap_or_default();
    text.push('\n');
    text
}

/// A body with type and id where the scheme looks for them.
fn sample_body(scheme: &Value) -> Value {
    let mut body = json!({ "data": { "amount": 1, "note": "made up" } });
    for (key, placeholder) in [("event_type", "%TYPE%"), ("event_id", "%ID%")] {
        if let Some(pointer) =
            scheme.get(key).and_then(Value::as_str).filter(|p| p.starts_with('/'))
        {
            set_at_pointer(&mut body, pointer, json!(placeholder));
        }
    }
    body
}

/// Sets a value at a pointer; missing objects are created.
fn set_at_pointer(body: &mut Value, pointer: &str, value: Value) {
    let mut target = body;
    for token in pointer.split('/').skip(1) {
        if !target.is_object() {
            *target = Value::Object(Map::new());
        }
        let Value::Object(members) = target else { return };
        let key = token.replace("~1", "/").replace("~0", "~");
        target = members.entry(key).or_insert(Value::Null);
    }
    *target = value;
}

/// A JSON Schema for events like the sample.
fn event_schema(sample: &Value) -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": EVENT_TYPE,
        "type": "object",
        "required": sample.as_object().map(|o| o.keys().collect::<Vec<_>>()).unwrap_or_default(),
        "properties": { "data": { "type": "object" } },
    })
}

/// Two secrets of the form that the scheme takes.
fn test_secrets(scheme: &Value, name: &Name) -> [String; 2] {
    match scheme.get("key").and_then(Value::as_str) {
        Some("hex") => ["00112233445566778899aabbccddeeff".to_owned(), "ff".repeat(16)],
        Some("whsec") => {
            let of = |text| format!("whsec_{text}");
            [of("MDEyMzQ1Njc4OWFiY2RlZmdoaWprbG1u"), of("emJjZGVmZ2hpamtsbW5vMDEyMzQ1Njc4")]
        }
        _ => [format!("{}-secret-of-the-tests", name.kebab), "another-secret".to_owned()],
    }
}

/// The line of code for `TOLERANCE`, and the import that it needs. Both are empty unless the scheme
/// tolerates the same difference in both directions.
fn tolerance_code(scheme: &Value) -> (String, &'static str) {
    let window = |key: &str| match scheme.pointer(&format!("/timestamp/{key}")) {
        Some(Value::Number(n)) => n.as_u64(),
        Some(Value::String(text)) => text.parse::<HumanDuration>().ok().map(|d| d.0.as_secs()),
        _ => Some(300),
    };
    let has_timestamp = scheme.get("timestamp").is_some_and(Value::is_object);
    match (has_timestamp, window("past"), window("future")) {
        (true, Some(past), Some(future)) if past == future => (
            format!(
                "    /// As in `scheme.json`; named here so that it is shown before a provider is built.\n    const TOLERANCE: Option<Duration> = Some(Duration::from_secs({past}));\n"
            ),
            "use std::time::Duration;\n",
        ),
        _ => (String::new(), ""),
    }
}

/// The headers that name the event: they are stored with it.
fn naming_headers(scheme: &Value) -> Vec<String> {
    let named = |key: &str| scheme.get(key)?.as_str()?.strip_prefix("header:");
    let mut names: Vec<String> =
        ["event_type", "event_id"].into_iter().filter_map(named).map(str::to_lowercase).collect();
    names.dedup();
    names
}

/// The vectors: requests that the scheme signs, and changed ones that must be rejected.
fn sign_vectors(
    new_scheme: &NewScheme,
    name: &Name,
    sample: &Value,
    secrets: &[String; 2],
) -> Result<Value, String> {
    let id = format!("{}_1", name.snake);
    let body = sample.to_string().replace("%TYPE%", EVENT_TYPE).replace("%ID%", &id);
    let time = new_scheme.json.pointer("/timestamp/from").and_then(Value::as_str);
    if time.is_some_and(|from| !from.starts_with("header:") && !from.starts_with("sig:")) {
        return Err("a time within the body cannot be signed for here: start from providers/catalogue/data/linear.json, which has one".to_owned());
    }
    let url = format!("https://hooks.example.com/webhooks/{}", name.snake);
    let sign = |secret: &str| {
        let draft = EventDraft::new(
            EVENT_TYPE.to_owned(),
            id.clone(),
            Body::new(body.clone()),
            url.clone(),
            NOW,
        );
        new_scheme.compiled.sign(&draft, &Secret::new(secret)).map_err(|e| {
            format!("{e}. A crate can be made where the signature is a MAC or a token in a header; for others, start from providers/discord (public keys) or providers/mailgun (in the body)")
        })
    };
    let genuine = sign(&secrets[0])?;
    let vector = |n: usize, what: &str, request: &Request, expect: &str, at: Timestamp| {
        let headers: Vec<_> = request
            .head
            .headers
            .iter()
            .map(|(k, v)| json!([k.as_str(), String::from_utf8_lossy(v.as_bytes())]))
            .collect();
        json!({
            "id": format!("{}-{n}", name.kebab), "provider": name.snake, "scheme": name.snake,
            "name": what, "class": "normative", "secret": secrets[0],
            "method": request.head.method.as_str(), "url": url, "headers": headers,
            "body": String::from_utf8_lossy(request.body.bytes()), "now_unix": at.as_secs(),
            "expect": expect,
        })
    };
    let mut all = vec![vector(1, "signed by the scheme", &genuine, "accept", NOW)];
    if let Some(Value::Object(first)) = all.first_mut() {
        first.insert("event_type".to_owned(), json!(EVENT_TYPE));
        first.insert("event_id".to_owned(), json!(id));
    }
    if new_scheme.json.pointer("/alg") != Some(&json!("equal")) {
        let mut changed = genuine.clone();
        changed.body = Body::new(body.replace("made up", "made UP"));
        all.push(vector(2, "the body was changed", &changed, "reject", NOW));
    }
    all.push(vector(3, "signed with another secret", &sign(&secrets[1])?, "reject", NOW));
    let signature = new_scheme.json.pointer("/signature/name").and_then(Value::as_str);
    let mut unsigned_request = genuine.clone();
    unsigned_request.head.headers.remove(signature.unwrap_or_default());
    all.push(vector(4, "no signature", &unsigned_request, "reject", NOW));
    if new_scheme.json.get("timestamp").is_some() {
        let late = NOW.plus(Duration::from_secs(7 * 24 * 60 * 60));
        all.push(vector(5, "a week old", &genuine, "reject", late));
    }
    Ok(json!({ "version": 1, "now_default": NOW.as_secs(), "vectors": all }))
}
