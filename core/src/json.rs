//! Strict JSON: what a sender's body must be before anything reads it. Two parsers that disagree
//! on a duplicate key or on nesting are an old way to smuggle content past a check, so both are
//! refused here, once, for everyone.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Arrays and objects may be nested this deep.
pub const MAX_JSON_DEPTH: u8 = 64;
/// A value may take so many bytes of memory: small parts of one take up to a hundred times their text, so
/// that a limit on that alone is none.
pub(crate) const MAX_WEIGHT: usize = 64 * 1024 * 1024;

/// An array takes room for up to twice what it holds.
const AN_ITEM: usize = 2 * size_of::<Value>();
/// An object takes room for eleven members at once.
const FIRST_MEMBER: usize = 528;
const A_MEMBER: usize = 112;
/// A text of its own, beside its bytes.
const A_TEXT: usize = 16;

/// Reads one JSON value; refuses duplicate keys, nesting deeper than [`MAX_JSON_DEPTH`], what would take more
/// than 64 MiB of memory, trailing bytes and anything that is not UTF-8. The error names line and
/// column, never content.
pub fn parse_strict(bytes: &[u8]) -> Result<Value, serde_json::Error> {
    parse_strict_measured(bytes).map(|(value, _)| value)
}

/// The same, and about how many bytes of memory the value takes.
pub(crate) fn parse_strict_measured(bytes: &[u8]) -> Result<(Value, usize), serde_json::Error> {
    let mut de = serde_json::Deserializer::from_slice(bytes);
    let left = Cell::new(MAX_WEIGHT);
    let value = Strict { depth: 0, left: &left }.deserialize(&mut de)?;
    de.end()?;
    Ok((value, MAX_WEIGHT - left.get()))
}

#[derive(Clone, Copy)]
struct Strict<'a> {
    depth: u8,
    /// Of the bytes that it may take.
    left: &'a Cell<usize>,
}

impl Strict<'_> {
    fn spend<E: Error>(self, bytes: usize) -> Result<(), E> {
        let left = self.left.get().checked_sub(bytes);
        self.left.set(left.ok_or_else(|| E::custom("it holds too many values"))?);
        Ok(())
    }

    fn deeper<E: Error>(self) -> Result<Self, E> {
        match self.depth {
            MAX_JSON_DEPTH => {
                Err(E::custom(format_args!("nested deeper than {MAX_JSON_DEPTH} levels")))
            }
            depth => Ok(Self { depth: depth + 1, ..self }),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<Value, D::Error> {
        d.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_bool<E>(self, v: bool) -> Result<Value, E> {
        Ok(Value::Bool(v))
    }
    fn visit_u64<E>(self, v: u64) -> Result<Value, E> {
        Ok(Value::Number(v.into()))
    }
    fn visit_i64<E>(self, v: i64) -> Result<Value, E> {
        Ok(Value::Number(v.into()))
    }
    fn visit_f64<E>(self, v: f64) -> Result<Value, E> {
        Ok(Number::from_f64(v).map_or(Value::Null, Value::Number))
    }
    fn visit_str<E: Error>(self, v: &str) -> Result<Value, E> {
        self.spend(v.len() + A_TEXT)?;
        Ok(Value::String(v.to_owned()))
    }
    fn visit_string<E: Error>(self, v: String) -> Result<Value, E> {
        self.spend(v.len() + A_TEXT)?;
        Ok(Value::String(v))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(inner)? {
            self.spend(AN_ITEM)?;
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut members = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            let first = if members.is_empty() { FIRST_MEMBER } else { 0 };
            self.spend(first + A_MEMBER + key.len() + A_TEXT)?;
            let value = map.next_value_seed(inner)?;
            if members.insert(key, value).is_some() {
                return Err(A::Error::custom("a key stands twice in one object"));
            }
        }
        Ok(Value::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_more_values_than_their_memory_is_worth() {
        let refused = |text: String| match parse_strict(text.as_bytes()) {
            Ok(_) => false,
            Err(e) => e.to_string().contains("too many"),
        };
        let objects = |n: usize| format!("[{}0]", r#"{"a":1},"#.repeat(n));
        assert!(!refused(objects(90_000)));
        assert!(refused(objects(100_000)));
        let numbers = |n: usize| format!("[{}0]", "0,".repeat(n));
        assert!(!refused(numbers(1_000_000)));
        assert!(refused(numbers(1_100_000)));
        let members = |n: usize| {
            let members: Vec<_> = (0..n).map(|n| format!(r#""{n}":0"#)).collect();
            format!("{{{}}}", members.join(","))
        };
        assert!(!refused(members(450_000)));
        assert!(refused(members(520_000)));
        let text = format!(r#""{}""#, "x".repeat(MAX_WEIGHT / 2));
        assert!(!refused(text));
    }

    #[test]
    fn reads_what_serde_json_reads() {
        let text = r#"{"a":[1,-2,3.5,true,null,"x\u00e9"],"b":{}}"#;
        assert_eq!(
            parse_strict(text.as_bytes()).unwrap(),
            serde_json::from_str::<Value>(text).unwrap()
        );
    }

    #[test]
    fn refuses_duplicate_keys_depth_over_64_trailing_bytes_and_bad_utf8() {
        let deep = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        assert!(parse_strict(deep(64).as_bytes()).is_ok());
        assert!(parse_strict(deep(65).as_bytes()).unwrap_err().to_string().contains("nested"));
        assert!(parse_strict(deep(100_000).as_bytes()).is_err());
        assert!(parse_strict(br#"{"a":1,"a":2}"#).unwrap_err().to_string().contains("twice"));
        assert!(parse_strict(b"{} x").is_err());
        assert!(parse_strict(b"\"\xff\"").is_err());
        assert!(parse_strict(b"").is_err());
    }
}
