//! Durations and byte sizes as people write them in configuration: `5m`, `10MiB`. Used by the keys
//! of routes.yaml and by the `with:` blocks of plugins.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A duration, written like `500ms`, `30s`, `5m`, `1h`, `7d` or `1h 30m`. A number without a unit
/// is an error.
///
/// ```
/// use hookward_core::HumanDuration;
///
/// let tolerance: HumanDuration = "1h 30m".parse()?;
/// assert_eq!(tolerance, HumanDuration::from_secs(5400));
/// assert!("90".parse::<HumanDuration>().is_err());
/// # Ok::<(), hookward_core::ParseDurationError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct HumanDuration(pub Duration);

/// A text that is not a [`HumanDuration`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a duration; write a number with a unit, such as 500ms, 30s, 5m, 1h or 7d")]
pub struct ParseDurationError {
    text: String,
}

impl HumanDuration {
    /// A duration of whole seconds.
    pub const fn from_secs(secs: u64) -> Self {
        Self(Duration::from_secs(secs))
    }
}

impl FromStr for HumanDuration {
    type Err = ParseDurationError;

    fn from_str(text: &str) -> Result<Self, ParseDurationError> {
        let duration = humantime::parse_duration(text);
        duration.map(Self).map_err(|_| ParseDurationError { text: text.to_owned() })
    }
}

impl fmt::Display for HumanDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(f)
    }
}

/// A number of bytes, written like `512KiB`, `10MiB`, `1MB` or `1000`. `KiB` is 1,024 bytes and
/// `kB` is 1,000.
///
/// ```
/// use hookward_core::ByteSize;
///
/// let limit: ByteSize = "10MiB".parse()?;
/// assert_eq!(limit, ByteSize::from_mib(10));
/// assert_eq!("1000".parse::<ByteSize>()?.0, 1000);
/// # Ok::<(), hookward_core::ParseByteSizeError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

/// A text that is not a [`ByteSize`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is not a size; write a number of bytes, or one with a unit, such as 512KiB or 10MiB"
)]
pub struct ParseByteSizeError {
    text: String,
}

impl ByteSize {
    /// A size of `n` MiB (1,048,576 bytes each).
    pub const fn from_mib(n: u64) -> Self {
        Self(n * 1024 * 1024)
    }

    /// The size as `usize`, the type of buffer lengths; `usize::MAX` where it does not fit.
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl FromStr for ByteSize {
    type Err = ParseByteSizeError;

    fn from_str(text: &str) -> Result<Self, ParseByteSizeError> {
        let size = text.parse::<bytesize::ByteSize>();
        size.map(|s| Self(s.as_u64())).map_err(|_| ParseByteSizeError { text: text.to_owned() })
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        bytesize::ByteSize::b(self.0).display().iec().fmt(f)
    }
}

/// Deserializes a value that is written as text, or, where `from_number` allows it, as a number.
struct TextVisitor<T> {
    expected: &'static str,
    from_number: fn(u64) -> Option<T>,
    value: PhantomData<T>,
}

impl<T: FromStr<Err: fmt::Display>> de::Visitor<'_> for TextVisitor<T> {
    type Value = T;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }
    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }
    fn visit_u64<E: de::Error>(self, n: u64) -> Result<T, E> {
        (self.from_number)(n)
            .ok_or_else(|| E::custom(format!("{n} has no unit; expected {}", self.expected)))
    }
}

impl<'de> Deserialize<'de> for HumanDuration {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_any(TextVisitor {
            expected: "a duration such as 30s, 5m or 7d",
            from_number: |_| None,
            value: PhantomData,
        })
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_any(TextVisitor {
            expected: "a size such as 512KiB or 10MiB",
            from_number: |n| Some(Self(n)),
            value: PhantomData,
        })
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
    fn durations_and_sizes_are_parsed_as_people_write_them() {
        assert_eq!("5m".parse(), Ok(HumanDuration::from_secs(300)));
        assert_eq!("7d".parse(), Ok(HumanDuration::from_secs(7 * 86_400)));
        assert_eq!("500ms".parse(), Ok(HumanDuration(Duration::from_millis(500))));
        assert_eq!("10MiB".parse(), Ok(ByteSize::from_mib(10)));
        assert!("soon".parse::<HumanDuration>().unwrap_err().to_string().contains("30s"));
    }

    #[test]
    fn a_duration_without_a_unit_is_rejected_and_the_error_says_so() {
        let error = serde_json::from_str::<HumanDuration>("30").unwrap_err().to_string();
        assert!(error.contains("no unit"), "{error}");
    }
}
