//! The bytes of a delivery, and their JSON, read at most once and shared by all who look at it.

use std::fmt;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use serde_json::Value;

use crate::json::{MAX_JSON_MEMORY_BYTES, parse_strict_measured};

/// So many times its text a value takes at most.
const MOST: usize = 110;

/// Why a body could not be read as JSON. Carries a position and a reason, never content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the body cannot be read as JSON: {reason}")]
pub struct BodyError {
    /// What the strict reader found, with line and column.
    pub reason: String,
}

/// Received bytes, cheap to clone. Reading as JSON happens on first use and is shared by clones.
#[derive(Clone, Default)]
pub struct Body(Arc<Inner>);

#[derive(Default)]
struct Inner {
    bytes: Bytes,
    json: OnceLock<Result<(Value, usize), BodyError>>,
}

impl Body {
    /// Takes bytes as they came.
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        Self(Arc::new(Inner { bytes: bytes.into(), json: OnceLock::new() }))
    }

    /// A body made from a value, with that value already read.
    pub fn from_json(value: Value) -> Self {
        let bytes = Bytes::from(value.to_string());
        let memory_size = 8 * bytes.len();
        Self(Arc::new(Inner { bytes, json: OnceLock::from(Ok((value, memory_size))) }))
    }

    /// The exact bytes.
    pub fn bytes(&self) -> &Bytes {
        &self.0.bytes
    }

    /// The body as strict JSON (see [`crate::parse_strict`]).
    pub fn json(&self) -> Result<&Value, &BodyError> {
        let read = || {
            parse_strict_measured(&self.0.bytes).map_err(|e| BodyError { reason: e.to_string() })
        };
        self.0.json.get_or_init(read).as_ref().map(|(value, _)| value)
    }

    /// About how many bytes of memory it takes now. Once read as JSON that may be eighty times its bytes.
    pub fn memory_size(&self) -> usize {
        let value = self.0.json.get().and_then(|read| read.as_ref().ok());
        self.0.bytes.len() + value.map_or(0, |(_, memory_size)| *memory_size)
    }

    /// Of [`Body::memory_size`], what its value may take at most once it has been read.
    pub fn max_memory_size(&self) -> usize {
        self.0.bytes.len().saturating_mul(MOST).min(MAX_JSON_MEMORY_BYTES)
    }

    /// The same bytes, as if nobody had read them as JSON.
    #[must_use]
    pub fn without_parsed_json(&self) -> Self {
        Self::new(self.0.bytes.clone())
    }
}

/// Shows the size alone: payloads never reach logs.
impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Body({} bytes)", self.0.bytes.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_that_was_read_weighs_what_its_value_takes() {
        let text = format!("[{}0]", "{\"a\":1},".repeat(10_000));
        let body = Body::new(text.clone());
        assert_eq!(body.memory_size(), text.len());
        assert!(body.json().is_ok());
        // An object with one member takes over 600 bytes.
        assert!(body.memory_size() > 6_000_000, "{}", body.memory_size());
        assert!(body.memory_size() - text.len() <= body.max_memory_size());
        assert_eq!(body.without_parsed_json().memory_size(), text.len());
        assert_eq!(body.without_parsed_json().json(), body.json());
        let wrong = Body::new("{");
        assert!(wrong.json().is_err());
        assert_eq!(wrong.memory_size(), 1);
    }
}
