//! Why the content of a body cannot be read. Returned by [`Body`](crate::Body) and by what reads it.

/// Why a body is not strict JSON. Holds a position and a reason, never content of the body.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the body cannot be read as JSON: {reason}")]
#[non_exhaustive]
pub struct BodyError {
    /// What the strict parser found, with line and column.
    pub reason: String,
}

impl BodyError {
    pub(crate) fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into() }
    }
}
