//! PROVIDER-15, -17 and -18: the descriptor, the config type and `check_secret`.

use std::path::Path;

use hookward_core::plugin::BuildCx;
use hookward_core::{Secret, is_credential_header};
use serde_json::{Map, Value};

use super::{BuiltSubject, Checked, ensure};

pub(super) fn unknown_keys(built: &BuiltSubject<'_>) -> Checked {
    let subject = built.subject;
    let mut with = subject.with.as_object().cloned().unwrap_or_else(Map::new);
    with.insert("no_such_key".to_owned(), Value::Bool(true));
    let cx = BuildCx::new(Path::new("."), "subject");
    let built = (subject.descriptor.build)(Value::Object(with), &cx);
    let reason = built.err().map(|e| e.to_string()).unwrap_or_default();
    ensure(reason.contains("no_such_key"), || {
        format!("a `with:` block with `no_such_key` is not rejected by that name: `{reason}`")
    })?;
    let schema = (subject.descriptor.schema)();
    let root = match schema.get("$ref").and_then(Value::as_str) {
        Some(reference) => schema.pointer(reference.trim_start_matches('#')).unwrap_or(&schema),
        None => &schema,
    };
    ensure(root.get("additionalProperties") == Some(&Value::Bool(false)), || {
        "the JSON Schema of the `with:` block allows unknown keys".to_owned()
    })
}

pub(super) fn self_description(built: &BuiltSubject<'_>) -> Checked {
    let d = &built.subject.descriptor;
    let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    ensure(!d.name.is_empty() && d.name.chars().all(word), || {
        format!("the name `{}` is not snake_case", d.name)
    })?;
    ensure(d.summary.len() > 10 && !d.summary.contains('\n'), || {
        "the summary is not one line of more than 10 characters".to_owned()
    })?;
    ensure(!d.methods.is_empty(), || "the list of methods is empty".to_owned())?;
    for name in d.keep_headers {
        let lower = http::HeaderName::from_lowercase(name.as_bytes()).is_ok();
        ensure(lower, || format!("`{name}` in `KEEP_HEADERS` is not a lower-case header name"))?;
        ensure(!is_credential_header(name), || {
            format!("`{name}` is kept, and it looks like a signature or a secret")
        })?;
    }
    for media_type in d.media_types {
        let plain = media_type.contains('/') && !media_type.contains([';', ' ']);
        ensure(plain && media_type.to_ascii_lowercase() == *media_type, || {
            format!("`{media_type}` is not a lower-case media type without parameters")
        })?;
    }
    Ok(())
}

pub(super) fn secrets_are_checked(built: &BuiltSubject<'_>) -> Checked {
    for text in [&built.subject.secret, &built.subject.other_secret] {
        let checked = built.provider.check_secret(&Secret::new(text.clone()));
        checked.map_err(|reason| format!("a usable secret is rejected: {reason}"))?;
    }
    for bad in ["", "\u{1}not-a-secret\u{1}", "whsec_", "whsec_***not base64***"] {
        if let Err(reason) = built.provider.check_secret(&Secret::new(bad)) {
            ensure(bad.len() < 7 || !reason.message.contains(bad), || {
                format!("the error about a bad secret shows it: {reason}")
            })?;
        }
    }
    Ok(())
}
