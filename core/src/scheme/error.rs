//! [`SchemeError`]: what is wrong with a scheme, and where.

/// Why a scheme cannot be used. As the error of a provider's `build`, it is shown at the place in
/// routes.yaml to which the pointer leads.
///
/// ```
/// use hookward_core::scheme::Scheme;
///
/// let error = Scheme::from_json(r#"{ "alg": "md5" }"#).unwrap_err();
/// assert!(error.message.contains("md5"), "{error}");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
#[non_exhaustive]
pub struct SchemeError {
    /// JSON pointer (RFC 6901) into the scheme; empty where the scheme as a whole cannot be read.
    pub pointer: String,
    /// What was found, what is allowed and what to do.
    pub message: String,
}

impl SchemeError {
    pub(crate) fn new(pointer: &str, message: impl Into<String>) -> Self {
        Self { pointer: pointer.to_owned(), message: message.into() }
    }
}

impl From<SchemeError> for crate::plugin::BuildError {
    fn from(e: SchemeError) -> Self {
        Self::at(e.pointer, e.message)
    }
}
