//! Strict JSON: what a sender's body must be before anything reads it. Two parsers that disagree
//! on a duplicate key or on nesting are an old way to smuggle content past a check, so both are
//! refused here, once, for everyone.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Arrays and objects may be nested this deep.
pub const MAX_DEPTH: u8 = 64;
/// A value may hold so many arrays and objects, and so many values in all: small ones take a hundred
/// times their bytes in memory, so a limit on bytes alone is none.
const MAX_CONTAINERS: u32 = 100_000;
const MAX_VALUES: u32 = 1_000_000;

/// An object takes room for eleven members at once; an array up to twice what it holds.
const A_CONTAINER: usize = 640;
const A_VALUE: usize = 2 * size_of::<Value>();

/// Reads one JSON value; refuses duplicate keys, nesting deeper than [`MAX_DEPTH`], over 100,000 arrays
/// and objects or a million values, trailing bytes and anything that is not UTF-8. The error names line and column, never content.
pub fn parse_strict(bytes: &[u8]) -> Result<Value, serde_json::Error> {
    parse_weighed(bytes).map(|(value, _)| value)
}

/// The same, and about how many bytes of memory the value takes.
pub(crate) fn parse_weighed(bytes: &[u8]) -> Result<(Value, usize), serde_json::Error> {
    let mut de = serde_json::Deserializer::from_slice(bytes);
    let left = Left { containers: Cell::new(MAX_CONTAINERS), values: Cell::new(MAX_VALUES) };
    let value = Strict { depth: 0, left: &left }.deserialize(&mut de)?;
    de.end()?;
    let containers = (MAX_CONTAINERS - left.containers.get()) as usize;
    let values = (MAX_VALUES - left.values.get()) as usize;
    Ok((value, bytes.len() + containers * A_CONTAINER + values * A_VALUE))
}

/// What a value may still hold.
struct Left {
    containers: Cell<u32>,
    values: Cell<u32>,
}

/// One less, or none left.
fn spend<E: Error>(left: &Cell<u32>) -> Result<(), E> {
    let less = left.get().checked_sub(1).ok_or_else(|| E::custom("it holds too many values"))?;
    left.set(less);
    Ok(())
}

#[derive(Clone, Copy)]
struct Strict<'a> {
    depth: u8,
    left: &'a Left,
}

impl Strict<'_> {
    fn deeper<E: Error>(self) -> Result<Self, E> {
        spend(&self.left.containers)?;
        match self.depth {
            MAX_DEPTH => Err(E::custom(format_args!("nested deeper than {MAX_DEPTH} levels"))),
            depth => Ok(Self { depth: depth + 1, ..self }),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<Value, D::Error> {
        spend(&self.left.values)?;
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
    fn visit_str<E>(self, v: &str) -> Result<Value, E> {
        Ok(Value::String(v.to_owned()))
    }
    fn visit_string<E>(self, v: String) -> Result<Value, E> {
        Ok(Value::String(v))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(inner)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut members = Map::new();
        while let Some(key) = map.next_key::<String>()? {
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
        let objects = |n: usize| format!("[{}0]", "{},".repeat(n));
        assert!(parse_strict(objects(90_000).as_bytes()).is_ok());
        assert!(
            parse_strict(objects(100_001).as_bytes()).unwrap_err().to_string().contains("too many")
        );
        let numbers = format!("[{}0]", "0,".repeat(1_000_001));
        assert!(parse_strict(numbers.as_bytes()).is_err());
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
