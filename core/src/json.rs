//! Strict JSON: the form that a sender's body must have before anything reads it. Two parsers that
//! resolve a duplicate key differently let an attacker show a checker one value and the handler
//! another (RFC 8259, section 4), so ambiguous bodies are rejected here, once and for everyone.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Deepest nesting of arrays and objects in a body.
pub const MAX_JSON_DEPTH: u8 = 64;

/// Most bytes of memory that one parsed body may take. Small values take up to a hundred times
/// their text, so a limit on the text alone would bound nothing.
pub(crate) const MAX_JSON_MEMORY_BYTES: usize = 64 * 1024 * 1024;

/// An array item: `Vec` grows by doubling, so it reserves up to twice what it holds.
const ARRAY_ITEM_BYTES: usize = 2 * size_of::<Value>();
/// The first member of an object: the map allocates a B-tree node for eleven members.
const FIRST_MEMBER_BYTES: usize = 528;
/// Every member of an object, beside the text of its key: a share of nodes that are half full.
const MEMBER_BYTES: usize = 112;
/// A string's own allocation, beside its text.
const STRING_OVERHEAD_BYTES: usize = 16;

/// Parses one JSON value.
///
/// # Errors
/// For a duplicate key in an object, nesting deeper than [`MAX_JSON_DEPTH`], a value that would
/// take more than 64 MiB of memory, bytes after the value, and bytes that are not UTF-8. The error
/// names line and column, never content.
///
/// ```
/// use hookward_core::parse_strict;
///
/// assert_eq!(parse_strict(br#"{"amount": 10}"#)?["amount"], 10);
/// assert!(parse_strict(br#"{"amount": 10, "amount": 10000}"#).is_err());
/// # Ok::<(), serde_json::Error>(())
/// ```
pub fn parse_strict(bytes: &[u8]) -> Result<Value, serde_json::Error> {
    parse_strict_measured(bytes).map(|(value, _)| value)
}

/// Like [`parse_strict`]; also estimates the bytes of memory that the value takes.
pub(crate) fn parse_strict_measured(bytes: &[u8]) -> Result<(Value, usize), serde_json::Error> {
    let mut de = serde_json::Deserializer::from_slice(bytes);
    let memory_left = Cell::new(MAX_JSON_MEMORY_BYTES);
    let value = StrictSeed { depth: 0, memory_left: &memory_left }.deserialize(&mut de)?;
    de.end()?;
    Ok((value, MAX_JSON_MEMORY_BYTES - memory_left.get()))
}

/// Deserializes one value, and counts depth and memory.
#[derive(Clone, Copy)]
struct StrictSeed<'a> {
    depth: u8,
    /// Bytes of memory that the rest of the body may take.
    memory_left: &'a Cell<usize>,
}

impl StrictSeed<'_> {
    /// Counts memory before it is allocated, so that a hostile body fails early.
    fn reserve_memory<E: Error>(self, bytes: usize) -> Result<(), E> {
        let left = self.memory_left.get().checked_sub(bytes);
        self.memory_left.set(left.ok_or_else(|| {
            E::custom("too many values: parsed, they would take more than 64 MiB of memory")
        })?);
        Ok(())
    }

    /// The seed of a nested value.
    fn nested<E: Error>(self) -> Result<Self, E> {
        match self.depth {
            MAX_JSON_DEPTH => {
                Err(E::custom(format_args!("nested deeper than {MAX_JSON_DEPTH} levels")))
            }
            depth => Ok(Self { depth: depth + 1, ..self }),
        }
    }
}

impl<'de> DeserializeSeed<'de> for StrictSeed<'_> {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<Value, D::Error> {
        d.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for StrictSeed<'_> {
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
        self.reserve_memory(v.len() + STRING_OVERHEAD_BYTES)?;
        Ok(Value::String(v.to_owned()))
    }
    fn visit_string<E: Error>(self, v: String) -> Result<Value, E> {
        self.reserve_memory(v.len() + STRING_OVERHEAD_BYTES)?;
        Ok(Value::String(v))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let inner = self.nested()?;
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(inner)? {
            self.reserve_memory(ARRAY_ITEM_BYTES)?;
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let inner = self.nested()?;
        let mut members = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            let first = if members.is_empty() { FIRST_MEMBER_BYTES } else { 0 };
            self.reserve_memory(first + MEMBER_BYTES + key.len() + STRING_OVERHEAD_BYTES)?;
            let value = map.next_value_seed(inner)?;
            if members.insert(key, value).is_some() {
                return Err(A::Error::custom("a key occurs twice in one object"));
            }
        }
        Ok(Value::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_whose_values_would_take_more_than_64_mib_is_rejected() {
        let is_rejected = |text: String| match parse_strict(text.as_bytes()) {
            Ok(_) => false,
            Err(e) => e.to_string().contains("too many"),
        };
        let objects = |n: usize| format!("[{}0]", r#"{"a":1},"#.repeat(n));
        assert!(!is_rejected(objects(90_000)));
        assert!(is_rejected(objects(100_000)));
        let numbers = |n: usize| format!("[{}0]", "0,".repeat(n));
        assert!(!is_rejected(numbers(1_000_000)));
        assert!(is_rejected(numbers(1_100_000)));
        let members = |n: usize| {
            let members: Vec<_> = (0..n).map(|n| format!(r#""{n}":0"#)).collect();
            format!("{{{}}}", members.join(","))
        };
        assert!(!is_rejected(members(450_000)));
        assert!(is_rejected(members(520_000)));
        let text = format!(r#""{}""#, "x".repeat(MAX_JSON_MEMORY_BYTES / 2));
        assert!(!is_rejected(text));
    }

    #[test]
    fn unambiguous_json_is_parsed_as_serde_json_parses_it() {
        let text = r#"{"a":[1,-2,3.5,true,null,"x\u00e9"],"b":{}}"#;
        assert_eq!(
            parse_strict(text.as_bytes()).unwrap(),
            serde_json::from_str::<Value>(text).unwrap()
        );
    }

    #[test]
    fn duplicate_keys_depth_over_64_trailing_bytes_and_bad_utf8_are_rejected() {
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
