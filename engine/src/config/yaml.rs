//! YAML text to a JSON value. This is the one file that uses serde_yaml, so that a replacement of
//! that crate changes this file and one line of Cargo.toml.

use serde_json::{Map, Value};

use super::pointer;

/// Why serde_yaml cannot parse a text. Rare, because the source map finds most syntax errors.
#[derive(Debug)]
pub(super) struct ParseError {
    pub(super) message: String,
    /// The line, counted from 1, and the column, counted from 0.
    pub(super) at: Option<(usize, usize)>,
}

/// A parsed text, its merge keys applied.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) value: Value,
    /// The pointers of the merge keys that could not be applied.
    pub(super) unmerged: Vec<String>,
}

/// Parses a YAML text and applies its merge keys.
pub(super) fn parse(text: &str) -> Result<Parsed, ParseError> {
    let mut value: Value = serde_yaml::from_str(text).map_err(|e| ParseError {
        at: e.location().map(|l| (l.line(), l.column().saturating_sub(1))),
        message: e.to_string(),
    })?;
    let mut unmerged = Vec::new();
    apply_merge_keys(&mut value, "", &mut unmerged);
    Ok(Parsed { value, unmerged })
}

/// Applies `<<: *base` and `<<: [*a, *b]`. A key of the mapping itself wins over a merged one, and
/// an earlier base over a later one.
fn apply_merge_keys(value: &mut Value, at: &str, unmerged: &mut Vec<String>) {
    match value {
        Value::Array(items) => {
            for (n, item) in items.iter_mut().enumerate() {
                apply_merge_keys(item, &pointer::item(at, n), unmerged);
            }
        }
        Value::Object(map) => {
            for (key, member) in map.iter_mut() {
                apply_merge_keys(member, &pointer::join(at, key), unmerged);
            }
            let Some(base) = map.remove("<<") else { return };
            let bases = match base {
                Value::Array(list) => list,
                single => vec![single],
            };
            let add_members = |map: &mut Map<String, Value>, base: Value| match base {
                Value::Object(base) => {
                    for (key, member) in base {
                        map.entry(key).or_insert(member);
                    }
                    true
                }
                _ => false,
            };
            let mut all_merged = true;
            for base in bases {
                all_merged &= add_members(map, base);
            }
            if !all_merged {
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
    fn own_keys_win_over_merged_ones() {
        let text = "a: &a {x: 1, y: 1}\nb: &b {y: 2, z: 2}\nc: {<<: [*a, *b], z: 3}\nd: {<<: 1}";
        let parsed = parse(text).unwrap();
        assert_eq!(parsed.value["c"], json!({"x": 1, "y": 1, "z": 3}));
        assert_eq!(parsed.unmerged, ["/d/<<"]);
    }
}
