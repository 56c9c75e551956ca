//! Why a request is refused: which status, which code, what the sender may know and what the
//! operator is told. The server only writes it out.

use std::time::Duration;

use hookward_core::store::StoreError;
use hookward_core::{Reply, VerifyError};
use http::{HeaderValue, StatusCode, header};

/// Why a body could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadError {
    /// Over the limit.
    TooLarge,
    /// Not in time.
    TooSlow,
    /// It ended in the middle, or was not well-formed HTTP.
    Broken,
    /// Too many bytes are in memory already.
    NoRoom,
}

/// A refusal.
#[derive(Debug)]
#[non_exhaustive]
pub enum Rejection {
    /// No source has this path.
    UnknownSource,
    /// Too many headers, or too long a head.
    HeaderTooLarge,
    /// Too long a target.
    TargetTooLong,
    /// Not as HTTP wants it, or in a way that two readers could take for two things: what is wrong.
    Malformed(&'static str),
    /// The source's sender does not use this method.
    Method {
        /// Those that it uses.
        allowed: &'static [&'static str],
    },
    /// The source's sender does not use this media type.
    MediaType {
        /// Those that it uses.
        allowed: &'static [&'static str],
    },
    /// A compressed body.
    ContentEncoding,
    /// The address is not in `limits.allow_ips`.
    IpNotAllowed,
    /// Over `limits.rate`, or too many failed proofs from this address.
    RateLimited {
        /// When to come back.
        retry_after: Duration,
        /// Which of the two.
        reason: &'static str,
    },
    /// Not believed.
    VerificationFailed(VerifyError),
    /// Over `limits.body`.
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// The body did not come, or not as HTTP.
    Body(ReadError),
    /// Proven, and not valid, where the configuration says to reject that.
    Invalid {
        /// What was found, for the operator.
        reason: String,
    },
    /// Stopping: come back to the next process.
    Draining,
    /// So many deliveries wait for the store that one more would wait too long.
    QueueFull,
    /// Rightly signed for another time, while the machine's own clock was set just now.
    ClockSuspect,
    /// The store took too long.
    StoreSlow,
    /// The store failed.
    Store(StoreError),
}

/// What the sender reads.
#[derive(serde::Serialize)]
struct Words {
    error: &'static str,
    code: &'static str,
}

impl From<ReadError> for Rejection {
    fn from(e: ReadError) -> Self {
        Self::Body(e)
    }
}

impl Rejection {
    /// The status.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::UnknownSource => StatusCode::NOT_FOUND,
            Self::HeaderTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::TargetTooLong => StatusCode::URI_TOO_LONG,
            Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::Method { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::MediaType { .. } | Self::ContentEncoding => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::IpNotAllowed => StatusCode::FORBIDDEN,
            Self::RateLimited { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::VerificationFailed(VerifyError::KeyUnavailable { .. }) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::VerificationFailed(_) => StatusCode::UNAUTHORIZED,
            Self::TooLarge { .. } | Self::Body(ReadError::TooLarge) => {
                StatusCode::PAYLOAD_TOO_LARGE
            }
            Self::Body(ReadError::TooSlow) => StatusCode::REQUEST_TIMEOUT,
            Self::Body(ReadError::Broken) => StatusCode::BAD_REQUEST,
            Self::Invalid { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Body(ReadError::NoRoom)
            | Self::Draining
            | Self::QueueFull
            | Self::ClockSuspect
            | Self::StoreSlow
            | Self::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The code that the sender sees.
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownSource => "UNKNOWN_SOURCE",
            Self::HeaderTooLarge => "HEADER_TOO_LARGE",
            Self::TargetTooLong => "URI_TOO_LONG",
            Self::Malformed(_) => "BAD_REQUEST",
            Self::Method { .. } => "METHOD_NOT_ALLOWED",
            Self::MediaType { .. } | Self::ContentEncoding => "UNSUPPORTED_MEDIA_TYPE",
            Self::IpNotAllowed => "IP_NOT_ALLOWED",
            Self::RateLimited { .. } => "RATE_LIMITED",
            Self::VerificationFailed(e) => e.code(),
            Self::TooLarge { .. } | Self::Body(ReadError::TooLarge) => "PAYLOAD_TOO_LARGE",
            Self::Body(ReadError::TooSlow) => "REQUEST_TIMEOUT",
            Self::Body(ReadError::Broken) => "BAD_REQUEST",
            Self::Body(ReadError::NoRoom) | Self::QueueFull => "OVERLOADED",
            Self::Invalid { .. } => "INVALID_EVENT",
            Self::Draining => "DRAINING",
            Self::ClockSuspect => "CLOCK_SUSPECT",
            Self::StoreSlow | Self::Store(_) => "STORE_UNAVAILABLE",
        }
    }

    fn message(&self) -> &'static str {
        match self {
            Self::UnknownSource => "No webhook source at this path",
            Self::HeaderTooLarge => "Header too large",
            Self::TargetTooLong => "Target too long",
            Self::Malformed(what) => what,
            Self::Method { .. } => "Method not allowed",
            Self::MediaType { .. } => "Media type not supported",
            Self::ContentEncoding => "Compressed bodies are not supported",
            Self::IpNotAllowed => "This address may not call",
            Self::RateLimited { .. } => "Too many requests",
            Self::VerificationFailed(VerifyError::KeyUnavailable { .. }) => {
                "A key is unavailable, try again"
            }
            Self::VerificationFailed(_) => "Webhook verification failed",
            Self::TooLarge { .. } | Self::Body(ReadError::TooLarge) => "Body too large",
            Self::Body(ReadError::TooSlow) => "The body came too slowly",
            Self::Body(ReadError::Broken) => "The body could not be read",
            Self::Body(ReadError::NoRoom) | Self::QueueFull => "Overloaded, try again",
            Self::Invalid { .. } => "The event is not valid",
            Self::Draining => "Stopping, try again",
            Self::ClockSuspect => "The receiver's clock was just set, try again",
            Self::StoreSlow | Self::Store(_) => "The event could not be stored, try again",
        }
    }

    /// For the operator; the sender never sees it. Holds no secret and no part of a body.
    pub fn reason(&self) -> String {
        match self {
            Self::VerificationFailed(e) => e.to_string(),
            Self::Invalid { reason } => reason.clone(),
            Self::Store(e) => e.to_string(),
            Self::RateLimited { reason, .. } => (*reason).to_owned(),
            Self::TooLarge { limit } => format!("the body is over {limit} bytes"),
            Self::Method { allowed } => format!("allowed are {}", allowed.join(", ")),
            Self::MediaType { allowed } => format!("allowed are {}", allowed.join(", ")),
            other => other.message().to_owned(),
        }
    }

    /// When to come back, where coming back can help.
    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after, .. } => Some(*retry_after),
            // Spread, so that senders do not come back as one.
            _ if self.status() == StatusCode::SERVICE_UNAVAILABLE => {
                Some(Duration::from_secs(fastrand::u64(5..=30)))
            }
            _ => None,
        }
    }

    /// The answer.
    pub fn reply(&self) -> Reply {
        let words = Words { error: self.message(), code: self.code() };
        let mut reply = Reply::json(self.status(), &words);
        if let Some(span) = self.retry_after() {
            let secs = span.as_millis().div_ceil(1000).max(1);
            if let Ok(value) = HeaderValue::from_str(&secs.to_string()) {
                reply.headers.push((header::RETRY_AFTER, value));
            }
        }
        if let Self::Method { allowed } = self
            && let Ok(value) = HeaderValue::from_str(&allowed.join(", "))
        {
            reply.headers.push((header::ALLOW, value));
        }
        reply
    }
}
