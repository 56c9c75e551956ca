//! `--with KEY=VALUE`: builds a `with:` block from the command line.

use hookward_core::keys::FixedKeys;
use serde_json::{Map, Value, json};

/// The block, and the `scheme=ID` that was among its settings.
pub(super) fn parse_block(settings: &[String]) -> Result<(Value, Option<String>), String> {
    let mut block = Value::Object(Map::new());
    let mut scheme = None;
    for setting in settings {
        let (key, text) = setting
            .split_once('=')
            .filter(|(key, _)| !key.is_empty())
            .ok_or_else(|| format!("--with {setting}: write KEY=VALUE"))?;
        if key == "scheme" {
            scheme = Some(text.to_owned());
            continue;
        }
        let value = parse_value(text).map_err(|e| format!("--with {key}: {e}"))?;
        set_at_path(&mut block, key, value)?;
    }
    Ok((block, scheme))
}

/// Removes and returns the keys that a server would fetch: `certificate_pem`, `jwk`, `jwks`.
pub(super) fn take_keys(block: &mut Value) -> Option<FixedKeys> {
    let members = block.as_object_mut()?;
    let mut remove = |key: &str| members.remove(key);
    let (pem, jwks, jwk) = (remove("certificate_pem"), remove("jwks"), remove("jwk"));
    let text = match (pem, jwks, jwk) {
        (Some(Value::String(pem)), ..) => pem,
        (_, Some(jwks), _) => jwks.to_string(),
        (_, _, Some(jwk)) => json!({"keys": [jwk]}).to_string(),
        _ => return None,
    };
    Some(FixedKeys(text.into()))
}

/// Parses a value. `@FILE` stands for the contents of the file. Valid JSON is parsed; any other text
/// is a string.
fn parse_value(text: &str) -> Result<Value, String> {
    let text = match text.strip_prefix('@') {
        Some(path) => std::fs::read_to_string(path).map_err(|e| format!("{path}: {e}"))?,
        None => text.to_owned(),
    };
    Ok(serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

/// Sets `a.b` or `/a/b`; missing objects are created.
fn set_at_path(block: &mut Value, key: &str, value: Value) -> Result<(), String> {
    let path: Vec<String> = match key.strip_prefix('/') {
        Some(pointer) => {
            pointer.split('/').map(|p| p.replace("~1", "/").replace("~0", "~")).collect()
        }
        None => key.split('.').map(str::to_owned).collect(),
    };
    let mut target = block;
    for step in path {
        let Value::Object(members) = target else {
            return Err(format!("--with {key}: a part of it is set to a value already"));
        };
        target = members.entry(step).or_insert_with(|| Value::Object(Map::new()));
    }
    *target = value;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block_of(settings: &[&str]) -> Result<(Value, Option<String>), String> {
        parse_block(&settings.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn keys_nest_by_dots_or_as_pointers_and_values_are_json_or_text() {
        let (block, scheme) = block_of(&[
            "signature.name=X-Sig",
            "/signature/trim=true",
            "message={timestamp}.{body}",
            "event_type=[\"/type\"]",
            "empty=",
            "scheme=svix",
        ])
        .unwrap();
        assert_eq!(
            block,
            json!({
                "signature": {"name": "X-Sig", "trim": true},
                "message": "{timestamp}.{body}",
                "event_type": ["/type"],
                "empty": "",
            })
        );
        assert_eq!(scheme.as_deref(), Some("svix"));
    }

    #[test]
    fn a_setting_that_cannot_be_set_is_an_error_that_names_it() {
        assert!(block_of(&["alg"]).unwrap_err().contains("KEY=VALUE"));
        assert!(block_of(&["a=1", "a.b=2"]).unwrap_err().contains("already"));
        assert!(block_of(&["jwk=@no/such/file"]).unwrap_err().contains("no/such/file"));
    }
}
