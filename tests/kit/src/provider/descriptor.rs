//! PROVIDER-15, -17 and -18: what a provider says of itself.

use std::path::Path;

use hookward_core::Secret;
use hookward_core::plugin::BuildCx;
use serde_json::{Map, Value};

use super::{Kept, Trial, ensure};

/// Words in the names of headers that are secret or worthless once checked.
const NOT_KEPT: [&str; 6] = ["signature", "hmac", "token", "secret", "authorization", "cookie"];

pub(super) fn unknown_keys(trial: &Trial<'_>) -> Kept {
    let subject = trial.subject;
    let mut with = subject.with.as_object().cloned().unwrap_or_else(Map::new);
    with.insert("no_such_key".to_owned(), Value::Bool(true));
    let cx = BuildCx { base_dir: Path::new("."), name: "subject" };
    let built = (subject.descriptor.build)(Value::Object(with), &cx);
    let reason = built.err().map(|e| e.to_string()).unwrap_or_default();
    ensure(reason.contains("no_such_key"), || {
        format!("a `with:` block with `no_such_key` is not refused by that name: `{reason}`")
    })?;
    let schema = (subject.descriptor.schema)();
    let root = match schema.get("$ref").and_then(Value::as_str) {
        Some(reference) => schema.pointer(reference.trim_start_matches('#')).unwrap_or(&schema),
        None => &schema,
    };
    ensure(root.get("additionalProperties") == Some(&Value::Bool(false)), || {
        "the JSON Schema of the `with:` block lets unknown keys pass".to_owned()
    })
}

pub(super) fn words(trial: &Trial<'_>) -> Kept {
    let d = &trial.subject.descriptor;
    let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    ensure(!d.name.is_empty() && d.name.chars().all(word), || {
        format!("the name `{}` is not snake_case", d.name)
    })?;
    ensure(d.summary.len() > 10 && !d.summary.contains('\n'), || {
        "the summary is not one line of some words".to_owned()
    })?;
    ensure(!d.methods.is_empty(), || "it takes no method".to_owned())?;
    for name in d.keep_headers {
        let lower = http::HeaderName::from_lowercase(name.as_bytes()).is_ok();
        ensure(lower, || format!("`{name}` among the kept headers is no lower-case name"))?;
        ensure(!NOT_KEPT.iter().any(|word| name.contains(word)), || {
            format!("`{name}` is kept, and it looks like a signature or a secret")
        })?;
    }
    for media_type in d.media_types {
        let plain = media_type.contains('/') && !media_type.contains([';', ' ']);
        ensure(plain && media_type.to_ascii_lowercase() == *media_type, || {
            format!("`{media_type}` is no lower-case media type without parameters")
        })?;
    }
    Ok(())
}

pub(super) fn secrets_are_judged(trial: &Trial<'_>) -> Kept {
    for text in [&trial.subject.secret, &trial.subject.other_secret] {
        let judged = trial.provider.check_secret(&Secret::new(text.clone()));
        judged.map_err(|reason| format!("a good secret is refused: {reason}"))?;
    }
    for bad in ["", "\u{1}not-a-secret\u{1}", "whsec_", "whsec_***not base64***"] {
        if let Err(reason) = trial.provider.check_secret(&Secret::new(bad)) {
            ensure(bad.len() < 7 || !reason.contains(bad), || {
                format!("the judgement of a bad secret shows it: {reason}")
            })?;
        }
    }
    Ok(())
}
