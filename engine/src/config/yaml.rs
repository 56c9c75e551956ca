//! The one file that names serde_yaml: YAML text to a JSON value. A replacement of that crate
//! changes this file and one line of Cargo.toml.

use serde_json::{Map, Value};

use super::pointer;

/// Why a text that has an outline cannot be read; rare, because the outline finds syntax errors.
#[derive(Debug)]
pub(super) struct YamlError {
    pub(super) message: String,
    /// Line from 1 and column from 0.
    pub(super) at: Option<(usize, usize)>,
}

/// Reads a document. Merge keys are applied; `unmerged` are the places where one cannot be.
pub(super) fn parse(text: &str) -> Result<(Value, Vec<String>), YamlError> {
    let mut value: Value = serde_yaml::from_str(text).map_err(|e| YamlError {
        at: e.location().map(|l| (l.line(), l.column().saturating_sub(1))),
        message: e.to_string(),
    })?;
    let mut unmerged = Vec::new();
    merge(&mut value, "", &mut unmerged);
    Ok((value, unmerged))
}

/// `<<: *base` and `<<: [*a, *b]`: what is written out wins, then the earlier of several.
fn merge(value: &mut Value, at: &str, unmerged: &mut Vec<String>) {
    match value {
        Value::Array(items) => {
            for (n, item) in items.iter_mut().enumerate() {
                merge(item, &pointer::item(at, n), unmerged);
            }
        }
        Value::Object(map) => {
            for (key, member) in map.iter_mut() {
                merge(member, &pointer::join(at, key), unmerged);
            }
            let Some(base) = map.remove("<<") else { return };
            let bases = match base {
                Value::Array(list) => list,
                single => vec![single],
            };
            let add = |map: &mut Map<String, Value>, base: Value| match base {
                Value::Object(base) => {
                    for (key, member) in base {
                        map.entry(key).or_insert(member);
                    }
                    true
                }
                _ => false,
            };
            let mut bad = false;
            for base in bases {
                bad |= !add(map, base);
            }
            if bad {
                unmerged.push(pointer::join(at, "<<"));
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn merge_keys_are_applied_and_what_is_written_out_wins() {
        let (value, bad) =
            parse("a: &a {x: 1, y: 1}\nb: &b {y: 2, z: 2}\nc: {<<: [*a, *b], z: 3}\nd: {<<: 1}")
                .unwrap();
        assert_eq!(value["c"], json!({"x": 1, "y": 1, "z": 3}));
        assert_eq!(bad, ["/d/<<"]);
    }
}
