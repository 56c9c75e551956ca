//! Spans and sizes as people write them in configuration: `5m`, `10MiB`. Used by the engine's own
//! keys and by plugins' `with:` blocks.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A duration written like `500ms`, `30s`, `5m`, `1h`, `7d` or `1h 30m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct HumanDuration(pub Duration);

impl HumanDuration {
    /// Whole seconds.
    pub const fn from_secs(secs: u64) -> Self {
        Self(Duration::from_secs(secs))
    }

    /// Reads the written form; the error says what is allowed.
    pub fn parse(text: &str) -> Result<Self, String> {
        humantime::parse_duration(text).map(Self).map_err(|_| {
            format!("`{text}` is not a duration; write a number with a unit, such as 500ms, 30s, 5m, 1h or 7d")
        })
    }
}

impl fmt::Display for HumanDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(f)
    }
}

/// A number of bytes written like `512KiB`, `10MiB`, `1MB` or plainly `1000`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

impl ByteSize {
    /// So many MiB.
    pub const fn from_mib(n: u64) -> Self {
        Self(n * 1024 * 1024)
    }

    /// Reads the written form; the error says what is allowed.
    pub fn parse(text: &str) -> Result<Self, String> {
        text.parse::<bytesize::ByteSize>().map(|s| Self(s.as_u64())).map_err(|_| {
            format!("`{text}` is not a size; write a number of bytes, or one with a unit, such as 512KiB or 10MiB")
        })
    }

    /// As the type in which buffers are measured; saturates.
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        bytesize::ByteSize::b(self.0).display().iec().fmt(f)
    }
}

struct Written<T>(fn(&str) -> Result<T, String>, fn(u64) -> Option<T>, &'static str);

impl<T> de::Visitor<'_> for Written<T> {
    type Value = T;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.2)
    }
    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        (self.0)(text).map_err(E::custom)
    }
    fn visit_u64<E: de::Error>(self, n: u64) -> Result<T, E> {
        (self.1)(n).ok_or_else(|| E::custom(format!("{n} has no unit; expected {}", self.2)))
    }
}

impl<'de> Deserialize<'de> for HumanDuration {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_any(Written(Self::parse, |_| None, "a duration such as 30s, 5m or 7d"))
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_any(Written(Self::parse, |n| Some(Self(n)), "a size such as 512KiB or 10MiB"))
    }
}

impl Serialize for HumanDuration {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl JsonSchema for HumanDuration {
    fn schema_name() -> Cow<'static, str> {
        "HumanDuration".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A duration: a number with a unit, such as 500ms, 30s, 5m, 1h or 7d.",
            "examples": ["30s", "5m", "7d"]
        })
    }
}

impl JsonSchema for ByteSize {
    fn schema_name() -> Cow<'static, str> {
        "ByteSize".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "integer"],
            "minimum": 0,
            "description": "A number of bytes, or one with a unit, such as 512KiB or 10MiB.",
            "examples": ["10MiB"]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_sizes_read_as_people_write_them() {
        assert_eq!(HumanDuration::parse("5m"), Ok(HumanDuration::from_secs(300)));
        assert_eq!(HumanDuration::parse("7d"), Ok(HumanDuration::from_secs(7 * 86_400)));
        assert_eq!(HumanDuration::parse("500ms").unwrap().0, Duration::from_millis(500));
        assert_eq!(ByteSize::parse("10MiB"), Ok(ByteSize::from_mib(10)));
        assert!(HumanDuration::parse("soon").unwrap_err().contains("30s"));
        assert!(
            serde_json::from_str::<HumanDuration>("30")
                .unwrap_err()
                .to_string()
                .contains("no unit")
        );
    }
}
