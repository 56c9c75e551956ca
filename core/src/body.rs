//! The bytes of a delivery, and their JSON, which is parsed at most once and shared by all clones.

use std::fmt;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use serde_json::Value;

use crate::exact_json::ExactJson;
use crate::json::{MAX_JSON_MEMORY_BYTES, ParsedJson, parse_strict_exact};

/// The most memory that parsed JSON takes, as a multiple of its text. Measured: an array of objects
/// with one short member each comes to 80 times its text, and to 124 times where that member is a
/// number whose digits are kept.
const MAX_MEMORY_PER_TEXT_BYTE: usize = 130;

/// Why a body is not strict JSON. Holds a position and a reason, never content of the body.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the body cannot be read as JSON: {reason}")]
#[non_exhaustive]
pub struct BodyError {
    /// What the strict parser found, with line and column.
    pub reason: String,
}

/// The bytes of a delivery, cheap to clone. They are parsed as JSON at the first call of
/// [`json`](Self::json); all clones share the result.
///
/// ```
/// use hookward_core::Body;
///
/// let body = Body::new(r#"{"type":"order.paid","amount":1.10}"#);
/// assert_eq!(body.json().unwrap()["type"], "order.paid");
/// // The bytes stay as they are: numbers keep their digits, members their order.
/// assert!(body.bytes().ends_with(b"1.10}"));
///
/// // Strict: the same member twice could mean one thing to the proof and another to a handler.
/// assert!(Body::new(r#"{"id":1,"id":2}"#).json().is_err());
/// ```
#[derive(Clone, Default)]
pub struct Body(Arc<Inner>);

#[derive(Default)]
struct Inner {
    bytes: Bytes,
    json: OnceLock<Result<ParsedJson, BodyError>>,
}

impl Body {
    /// A body of these bytes, not parsed yet.
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        Self(Arc::new(Inner { bytes: bytes.into(), json: OnceLock::new() }))
    }

    /// A body that is the compact JSON of a value. It counts as parsed: [`json`](Self::json)
    /// returns the value itself.
    pub fn from_json(value: Value) -> Self {
        let bytes = Bytes::from(value.to_string());
        let memory_size = 8 * bytes.len();
        let parsed = ParsedJson { value, number_texts: None, memory_size };
        Self(Arc::new(Inner { bytes, json: OnceLock::from(Ok(parsed)) }))
    }

    /// The bytes exactly as they were received or made.
    pub fn bytes(&self) -> &Bytes {
        &self.0.bytes
    }

    /// The body as strict JSON ([`parse_strict`](crate::parse_strict)), parsed at the first call.
    ///
    /// # Errors
    /// [`BodyError`] where the body is not strict JSON, the same one at every call.
    pub fn json(&self) -> Result<&Value, &BodyError> {
        self.parsed().map(|parsed| &parsed.value)
    }

    /// Like [`json`](Self::json), with every digit of the numbers: a [`Value`] rounds integers
    /// over 64 bits and decimals of more than 17 digits.
    ///
    /// ```
    /// use hookward_core::{Body, Decimal};
    ///
    /// let body = Body::new(r#"{"order":123456789012345678901}"#);
    /// let order = body.exact_json().unwrap().pointer("/order").unwrap();
    /// assert_eq!(order.number(), Decimal::parse("123456789012345678901"));
    /// ```
    ///
    /// # Errors
    /// [`BodyError`] where the body is not strict JSON.
    pub fn exact_json(&self) -> Result<ExactJson<'_>, &BodyError> {
        self.parsed().map(|parsed| ExactJson::new(&parsed.value, parsed.number_texts.as_deref()))
    }

    fn parsed(&self) -> Result<&ParsedJson, &BodyError> {
        let read =
            || parse_strict_exact(&self.0.bytes).map_err(|e| BodyError { reason: e.to_string() });
        self.0.json.get_or_init(read).as_ref()
    }

    /// The memory that the body takes now, in bytes, as an estimate. Parsing it as JSON can
    /// multiply this by 80, so whoever parses many bodies at the same time needs a budget for it.
    pub fn memory_size(&self) -> usize {
        let parsed = self.0.json.get().and_then(|read| read.as_ref().ok());
        self.0.bytes.len() + parsed.map_or(0, |parsed| parsed.memory_size)
    }

    /// The most memory that the parsed JSON of this body can take, in bytes: an upper bound for
    /// what [`memory_size`](Self::memory_size) grows by at the first call of [`json`](Self::json).
    pub fn max_memory_size(&self) -> usize {
        self.0.bytes.len().saturating_mul(MAX_MEMORY_PER_TEXT_BYTE).min(MAX_JSON_MEMORY_BYTES)
    }

    /// The same bytes, not parsed, so that dropping the original frees its parsed JSON.
    #[must_use]
    pub fn without_parsed_json(&self) -> Self {
        Self::new(self.0.bytes.clone())
    }
}

/// Shows only the size, so that no payload reaches a log.
impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Body({} bytes)", self.0.bytes.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_size_of_a_parsed_body_includes_its_json() {
        let text = format!("[{}0]", "{\"a\":1},".repeat(10_000));
        let body = Body::new(text.clone());
        assert_eq!(body.memory_size(), text.len());
        assert!(body.json().is_ok());
        // An object with one member takes over 600 bytes.
        assert!(body.memory_size() > 6_000_000, "{}", body.memory_size());
        assert!(body.memory_size() - text.len() <= body.max_memory_size());
        assert_eq!(body.without_parsed_json().memory_size(), text.len());
        assert_eq!(body.without_parsed_json().json(), body.json());
        // The densest text: each object keeps the digits of one number.
        let body = Body::new(format!("[{}0]", "{\"\":1e-400},".repeat(10_000)));
        assert!(body.json().is_ok());
        assert!(body.memory_size() - body.bytes().len() <= body.max_memory_size());
        let wrong = Body::new("{");
        assert!(wrong.json().is_err());
        assert_eq!(wrong.memory_size(), 1);
    }
}
