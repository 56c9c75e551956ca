//! YAML text to a JSON value. This is the one file that uses serde_yaml, so that a replacement of
//! that crate changes this file and one line of Cargo.toml.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

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
    let YamlValue(mut value) = serde_yaml::from_str(text).map_err(|e| ParseError {
        at: e.location().map(|l| (l.line(), l.column().saturating_sub(1))),
        message: e.to_string(),
    })?;
    let mut unmerged = Vec::new();
    apply_merge_keys(&mut value, "", &mut unmerged);
    Ok(Parsed { value, unmerged })
}

/// A value of the file. A [`Value`] rejects integers of 65 to 128 bits; here they are rounded, and
/// whoever needs all digits finds them in the source map.
struct YamlValue(Value);

impl<'de> Deserialize<'de> for YamlValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(YamlVisitor).map(Self)
    }
}

struct YamlVisitor;

impl<'de> Visitor<'de> for YamlVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_bool<E>(self, v: bool) -> Result<Value, E> {
        Ok(v.into())
    }
    fn visit_i64<E>(self, v: i64) -> Result<Value, E> {
        Ok(v.into())
    }
    fn visit_u64<E>(self, v: u64) -> Result<Value, E> {
        Ok(v.into())
    }
    #[expect(clippy::cast_precision_loss, reason = "rounding is what this is for")]
    fn visit_i128<E: Error>(self, v: i128) -> Result<Value, E> {
        self.visit_f64(v as f64)
    }
    #[expect(clippy::cast_precision_loss, reason = "rounding is what this is for")]
    fn visit_u128<E: Error>(self, v: u128) -> Result<Value, E> {
        self.visit_f64(v as f64)
    }
    fn visit_f64<E>(self, v: f64) -> Result<Value, E> {
        Ok(Number::from_f64(v).map_or(Value::Null, Value::Number))
    }
    fn visit_str<E>(self, v: &str) -> Result<Value, E> {
        Ok(v.into())
    }
    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(YamlValue(item)) = seq.next_element()? {
            items.push(item);
        }
        Ok(items.into())
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some((key, YamlValue(member))) = map.next_entry::<String, YamlValue>()? {
            members.insert(key, member);
        }
        Ok(members.into())
    }
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
    fn integers_of_more_than_64_bits_are_rounded() {
        let parsed = parse("[18446744073709551617, -9223372036854775809, 18446744073709551615]");
        let expected = json!([18446744073709551616_f64, -9223372036854775808_f64, u64::MAX]);
        assert_eq!(parsed.unwrap().value, expected);
    }

    #[test]
    fn own_keys_win_over_merged_ones() {
        let text = "a: &a {x: 1, y: 1}\nb: &b {y: 2, z: 2}\nc: {<<: [*a, *b], z: 3}\nd: {<<: 1}";
        let parsed = parse(text).unwrap();
        assert_eq!(parsed.value["c"], json!({"x": 1, "y": 1, "z": 3}));
        assert_eq!(parsed.unmerged, ["/d/<<"]);
    }
}
