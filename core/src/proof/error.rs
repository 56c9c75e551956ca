//! Why a request is not believed. The sender sees the code; the rest is for the operator.

use std::borrow::Cow;
use std::time::Duration;

/// A failed proof. None of the texts ever holds a secret, an expected tag or a part of the body.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// Something the signature consists of is not there.
    #[error("{what} is missing")]
    MissingSignature {
        /// What is missing, such as "the header X-Hub-Signature-256".
        what: Cow<'static, str>,
    },
    /// It is there and is not of the expected form.
    #[error("{what}")]
    InvalidFormat {
        /// What is wrong with it.
        what: Cow<'static, str>,
    },
    /// It is well-formed and no active secret made it for these bytes.
    #[error("no active secret made this signature for these bytes")]
    InvalidSignature,
    /// A token is genuine and says something else than it must: made for another receiver, by
    /// another issuer, for other bytes.
    #[error("{what}")]
    InvalidClaim {
        /// What it says; never the token.
        what: Cow<'static, str>,
    },
    /// Rightly signed, too long ago.
    #[error("signed {age:?} ago; the tolerance is {tolerance:?}")]
    TimestampTooOld {
        /// How long ago.
        age: Duration,
        /// What is allowed.
        tolerance: Duration,
    },
    /// Rightly signed, for a time that has not come.
    #[error("signed for {ahead:?} from now; the tolerance is {tolerance:?}")]
    TimestampInFuture {
        /// How far ahead.
        ahead: Duration,
        /// What is allowed.
        tolerance: Duration,
    },
    /// A key that is needed to decide cannot be had now; the sender should try again.
    #[error("a key is unavailable: {reason}")]
    KeyUnavailable {
        /// Why.
        reason: Cow<'static, str>,
    },
}

impl VerifyError {
    /// [`VerifyError::MissingSignature`] of this.
    pub fn missing(what: impl Into<Cow<'static, str>>) -> Self {
        Self::MissingSignature { what: what.into() }
    }

    /// [`VerifyError::InvalidFormat`] with this text.
    pub fn format(what: impl Into<Cow<'static, str>>) -> Self {
        Self::InvalidFormat { what: what.into() }
    }

    /// [`VerifyError::InvalidClaim`] with this text.
    pub fn claim(what: impl Into<Cow<'static, str>>) -> Self {
        Self::InvalidClaim { what: what.into() }
    }

    /// [`VerifyError::KeyUnavailable`] for this reason.
    pub fn unavailable(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::KeyUnavailable { reason: reason.into() }
    }

    /// The word that the sender, the metrics and `verify` show.
    pub fn code(&self) -> &'static str {
        match self {
            Self::MissingSignature { .. } => "MISSING_SIGNATURE",
            Self::InvalidFormat { .. } => "INVALID_FORMAT",
            // To a sender a token for somebody else is as wrong as one that nobody signed.
            Self::InvalidSignature | Self::InvalidClaim { .. } => "INVALID_SIGNATURE",
            Self::TimestampTooOld { .. } => "TIMESTAMP_TOO_OLD",
            Self::TimestampInFuture { .. } => "TIMESTAMP_IN_FUTURE",
            Self::KeyUnavailable { .. } => "KEY_UNAVAILABLE",
        }
    }
}
