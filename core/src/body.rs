//! The bytes of a delivery, and their JSON, read at most once and shared by all who look at it.

use std::fmt;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use serde_json::Value;

use crate::json::parse_strict;

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
    json: OnceLock<Result<Value, BodyError>>,
}

impl Body {
    /// Takes bytes as they came.
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        Self(Arc::new(Inner { bytes: bytes.into(), json: OnceLock::new() }))
    }

    /// A body made from a value, with that value already read.
    pub fn from_json(value: Value) -> Self {
        let bytes = Bytes::from(value.to_string());
        Self(Arc::new(Inner { bytes, json: OnceLock::from(Ok(value)) }))
    }

    /// The exact bytes.
    pub fn bytes(&self) -> &Bytes {
        &self.0.bytes
    }

    /// The body as strict JSON (see [`crate::parse_strict`]).
    pub fn json(&self) -> Result<&Value, &BodyError> {
        let read = || parse_strict(&self.0.bytes).map_err(|e| BodyError { reason: e.to_string() });
        self.0.json.get_or_init(read).as_ref()
    }
}

/// Shows the size alone: payloads never reach logs.
impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Body({} bytes)", self.0.bytes.len())
    }
}
