//! Why a request is rejected. The sender reads only the code; the message is for the operator.

use std::borrow::Cow;
use std::time::Duration;

use crate::body_error::BodyError;

/// Why [`prove`](crate::prove) rejects a request.
///
/// The message (`Display`) goes to logs and to `hookward verify`. It never holds a secret, an
/// expected tag or a part of the body. The sender reads [`VerifyError::code`] and nothing else.
///
/// ```
/// use hookward_core::VerifyError;
///
/// let error = VerifyError::missing_signature("the header X-Hub-Signature-256");
/// assert_eq!(error.code(), "MISSING_SIGNATURE");
/// assert_eq!(error.to_string(), "the header X-Hub-Signature-256 is missing");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// A part of the request that the proof needs is absent.
    #[error("{what} is missing")]
    MissingSignature {
        /// What is absent, such as "the header X-Hub-Signature-256".
        what: Cow<'static, str>,
    },
    /// A part of the request that the proof needs is malformed or ambiguous.
    #[error("{what}")]
    InvalidFormat {
        /// What was found and what is expected.
        what: Cow<'static, str>,
    },
    /// The signature is well-formed, and no active secret makes it for these bytes.
    #[error(
        "the signature does not match these bytes under any active secret; check the secret, and that nothing \
         between sender and server changes the body"
    )]
    InvalidSignature,
    /// A genuine token says something else than the source demands: it is for another receiver,
    /// from another issuer or about other bytes.
    #[error("{what}")]
    InvalidClaim {
        /// What the token says and what is demanded; never the token itself.
        what: Cow<'static, str>,
    },
    /// The signature is right, and its signed time is too long ago.
    #[error("signed {age:?} ago; at most {tolerance:?} is allowed")]
    TimestampTooOld {
        /// How long ago the request was signed.
        age: Duration,
        /// The longest age that is accepted.
        tolerance: Duration,
    },
    /// The signature is right, and its signed time is too far in the future.
    #[error("signed for a time {ahead:?} in the future; at most {tolerance:?} is allowed")]
    TimestampInFuture {
        /// How far the signed time is ahead of the clock.
        ahead: Duration,
        /// How far ahead a signed time may be.
        tolerance: Duration,
    },
    /// A key that the decision needs is unavailable at present. The sender gets 503 and tries
    /// again.
    #[error("a key is unavailable: {reason}")]
    KeyUnavailable {
        /// Why the key is unavailable.
        reason: Cow<'static, str>,
    },
}

impl VerifyError {
    /// A [`VerifyError::MissingSignature`]; `what` names the absent part.
    pub fn missing_signature(what: impl Into<Cow<'static, str>>) -> Self {
        Self::MissingSignature { what: what.into() }
    }

    /// A [`VerifyError::InvalidFormat`]; `what` is the whole message.
    pub fn invalid_format(what: impl Into<Cow<'static, str>>) -> Self {
        Self::InvalidFormat { what: what.into() }
    }

    /// A [`VerifyError::InvalidFormat`]: the proof stands in a body that cannot be read, so that
    /// nobody knows whether it is there.
    pub fn unreadable_proof(error: &BodyError) -> Self {
        Self::invalid_format(format!(
            "the signature stands in the body and could not be looked for: {error}"
        ))
    }

    /// A [`VerifyError::InvalidClaim`]; `what` is the whole message.
    pub fn invalid_claim(what: impl Into<Cow<'static, str>>) -> Self {
        Self::InvalidClaim { what: what.into() }
    }

    /// A [`VerifyError::KeyUnavailable`] for this reason.
    pub fn key_unavailable(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::KeyUnavailable { reason: reason.into() }
    }

    /// The stable code that the sender's answer, the metrics and `hookward verify` show.
    pub fn code(&self) -> &'static str {
        match self {
            Self::MissingSignature { .. } => "MISSING_SIGNATURE",
            Self::InvalidFormat { .. } => "INVALID_FORMAT",
            // One code for both: which of a token's claims is wrong is of use to an attacker alone.
            Self::InvalidSignature | Self::InvalidClaim { .. } => "INVALID_SIGNATURE",
            Self::TimestampTooOld { .. } => "TIMESTAMP_TOO_OLD",
            Self::TimestampInFuture { .. } => "TIMESTAMP_IN_FUTURE",
            Self::KeyUnavailable { .. } => "KEY_UNAVAILABLE",
        }
    }
}
