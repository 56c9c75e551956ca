//! Why a request is rejected: the status, the code and message that the sender sees, and the reason
//! that only the operator sees. All in this file; the server only writes the reply out.

use std::time::Duration;

use hookward_core::store::StoreError;
use hookward_core::{ContentEncoding, Reply, VerifyError};
use http::{HeaderValue, Method, StatusCode, header};

use crate::compiled::FirewallRule;

/// A body that could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadError {
    /// It is larger than the source's limit.
    TooLarge,
    /// It did not arrive in time.
    TooSlow,
    /// It ended early, or was not well-formed HTTP.
    Broken,
    /// The bytes in flight of all requests are at their limit.
    NoMemory,
}

/// The reason why a request gets no 2xx. Enumerated once for the whole process, so that a code has
/// one meaning and one status.
#[derive(Debug)]
#[non_exhaustive]
pub enum Rejection {
    /// No source of the configuration has this path.
    UnknownSource,
    /// There are too many headers, or the head is too large.
    HeaderTooLarge,
    /// The request target is too long.
    TargetTooLong,
    /// The head is not well-formed, or two HTTP implementations could read it differently. The text
    /// says what is wrong, and the sender sees it.
    Malformed(&'static str),
    /// The source's sender does not use this method.
    Method {
        /// The methods that it uses.
        allowed: Vec<Method>,
    },
    /// The source's sender does not use this media type.
    MediaType {
        /// The media type of the request; `None` for an uncommon one, which no log shows.
        found: Option<&'static str>,
        /// The media types that it uses.
        allowed: &'static [&'static str],
    },
    /// The source's `firewall` does not admit the request.
    Firewall(FirewallRule),
    /// The source needs a client certificate, and the client proved none.
    ClientCertificateMissing,
    /// No name of the client's certificate is in `client_subjects`.
    ClientNotAllowed {
        /// The subject of the certificate.
        subject: String,
    },
    /// The client's certificate is not accepted, in the handshake or any more: it is expired or
    /// revoked, or no authority of the configuration issued it.
    ClientCertificateInvalid {
        /// Why, for the operator.
        reason: String,
    },
    /// The body is compressed in a way that the source does not decompress.
    ContentEncoding {
        /// The encodings that it decompresses.
        allowed: Vec<ContentEncoding>,
    },
    /// The client's address is not in `limits.allow_ips`.
    IpNotAllowed,
    /// `limits.rate` is exceeded, or this address made too many failed proofs.
    RateLimited {
        /// How long until another request is allowed.
        retry_after: Duration,
        /// Which of the two limits it is, for the operator.
        reason: &'static str,
    },
    /// The sender is not proven.
    VerificationFailed(VerifyError),
    /// The announced body is larger than `limits.body`.
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// The body could not be read.
    Body(ReadError),
    /// The delivery is proven and invalid, and the configuration says to reject such deliveries.
    Invalid {
        /// What is invalid, for the operator. Names routes and positions, never content.
        reason: String,
    },
    /// The process is stopping. The sender's retry reaches the next process.
    Draining,
    /// Too many deliveries wait for the store, or for memory to parse their bodies.
    QueueFull,
    /// The signed time is out of tolerance, and this machine's clock was set in the last minute.
    /// The sender may be right, so it is asked to try again.
    ClockSuspect,
    /// The store did not answer in time.
    StoreSlow,
    /// The store returned an error.
    Store(StoreError),
}

impl From<ReadError> for Rejection {
    fn from(e: ReadError) -> Self {
        Self::Body(e)
    }
}

impl Rejection {
    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::UnknownSource => StatusCode::NOT_FOUND,
            Self::HeaderTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::TargetTooLong => StatusCode::URI_TOO_LONG,
            Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::Method { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::MediaType { .. } | Self::ContentEncoding { .. } => {
                StatusCode::UNSUPPORTED_MEDIA_TYPE
            }
            Self::IpNotAllowed
            | Self::ClientCertificateMissing
            | Self::ClientNotAllowed { .. }
            | Self::ClientCertificateInvalid { .. } => StatusCode::FORBIDDEN,
            Self::Firewall(rule) => match rule {
                FirewallRule::Network
                | FirewallRule::HeaderMissing(_)
                | FirewallRule::HeaderDenied(_) => StatusCode::FORBIDDEN,
                FirewallRule::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
                FirewallRule::ContentType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
                FirewallRule::Size(_) => StatusCode::PAYLOAD_TOO_LARGE,
            },
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
            Self::Body(ReadError::NoMemory)
            | Self::Draining
            | Self::QueueFull
            | Self::ClockSuspect
            | Self::StoreSlow
            | Self::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The code that the sender sees. Codes are part of the public contract: see docs/routes.md.
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownSource => "UNKNOWN_SOURCE",
            Self::HeaderTooLarge => "HEADER_TOO_LARGE",
            Self::TargetTooLong => "URI_TOO_LONG",
            Self::Malformed(_) => "BAD_REQUEST",
            Self::Method { .. } => "METHOD_NOT_ALLOWED",
            Self::MediaType { .. } | Self::ContentEncoding { .. } => "UNSUPPORTED_MEDIA_TYPE",
            Self::IpNotAllowed => "IP_NOT_ALLOWED",
            Self::ClientCertificateMissing => "CLIENT_CERTIFICATE_REQUIRED",
            Self::ClientNotAllowed { .. } => "CLIENT_NOT_ALLOWED",
            Self::ClientCertificateInvalid { .. } => "CLIENT_CERTIFICATE_INVALID",
            Self::Firewall(rule) => match rule {
                FirewallRule::Network => "FIREWALL_NETWORK",
                FirewallRule::Method(_) => "FIREWALL_METHOD",
                FirewallRule::HeaderMissing(_) => "FIREWALL_HEADER_MISSING",
                FirewallRule::HeaderDenied(_) => "FIREWALL_HEADER_DENIED",
                FirewallRule::ContentType => "FIREWALL_CONTENT_TYPE",
                FirewallRule::Size(_) => "FIREWALL_SIZE",
            },
            Self::RateLimited { .. } => "RATE_LIMITED",
            Self::VerificationFailed(e) => e.code(),
            Self::TooLarge { .. } | Self::Body(ReadError::TooLarge) => "PAYLOAD_TOO_LARGE",
            Self::Body(ReadError::TooSlow) => "REQUEST_TIMEOUT",
            Self::Body(ReadError::Broken) => "BAD_REQUEST",
            Self::Body(ReadError::NoMemory) | Self::QueueFull => "OVERLOADED",
            Self::Invalid { .. } => "INVALID_EVENT",
            Self::Draining => "DRAINING",
            Self::ClockSuspect => "CLOCK_SUSPECT",
            Self::StoreSlow | Self::Store(_) => "STORE_UNAVAILABLE",
        }
    }

    /// The message that the sender sees. It reveals nothing about secrets or configuration.
    fn message(&self) -> &'static str {
        match self {
            Self::UnknownSource => "No webhook source at this path",
            Self::HeaderTooLarge => "Header too large",
            Self::TargetTooLong => "Target too long",
            Self::Malformed(what) => what,
            Self::Method { .. } => "Method not allowed",
            Self::MediaType { .. } => "Media type not supported",
            Self::ContentEncoding { .. } => {
                "This Content-Encoding is not supported; send the body uncompressed"
            }
            Self::IpNotAllowed => "This address may not call",
            Self::ClientCertificateMissing => "A client certificate is required",
            Self::ClientNotAllowed { .. } => "This client may not call",
            Self::ClientCertificateInvalid { .. } => "The client certificate is not valid",
            Self::Firewall(_) => "The firewall does not admit this request",
            Self::RateLimited { .. } => "Too many requests",
            Self::VerificationFailed(VerifyError::KeyUnavailable { .. }) => {
                "A key is unavailable, try again"
            }
            Self::VerificationFailed(_) => "Webhook verification failed",
            Self::TooLarge { .. } | Self::Body(ReadError::TooLarge) => "Body too large",
            Self::Body(ReadError::TooSlow) => "The body came too slowly",
            Self::Body(ReadError::Broken) => "The body could not be read",
            Self::Body(ReadError::NoMemory) | Self::QueueFull => "Overloaded, try again",
            Self::Invalid { .. } => "The event is not valid",
            Self::Draining => "Stopping, try again",
            Self::ClockSuspect => "The receiver's clock was just set, try again",
            Self::StoreSlow | Self::Store(_) => "The event could not be stored, try again",
        }
    }

    /// The reason for the operator, which the sender never sees. Holds no secret and no part of a
    /// body.
    pub fn reason(&self) -> String {
        match self {
            Self::VerificationFailed(e) => e.to_string(),
            Self::Invalid { reason } => reason.clone(),
            Self::Store(e) => e.to_string(),
            Self::RateLimited { reason, .. } => (*reason).to_owned(),
            Self::TooLarge { limit } => format!("the announced body is larger than {limit} bytes"),
            Self::Firewall(rule) => rule.to_string(),
            Self::ClientNotAllowed { subject } => {
                format!("no name of the client certificate of `{subject}` is in `client_subjects`")
            }
            Self::ClientCertificateInvalid { reason } => reason.clone(),
            Self::Method { allowed } => format!(
                "this source allows {}; `methods:` of the source sets others where its provider can",
                method_list(allowed)
            ),
            Self::MediaType { found, allowed } => format!(
                "the media type is {}, and senders of this provider use {}; choose one of \
                 them at the sender, or `provider: hmac`, which allows any",
                found.map_or_else(|| "an uncommon one".to_owned(), |found| format!("`{found}`")),
                allowed.join(", ")
            ),
            Self::ContentEncoding { allowed } if allowed.is_empty() => {
                "the body is compressed; turn that off at the sender, or allow it with \
                 `decompress: { encodings: [gzip] }` of the source"
                    .to_owned()
            }
            Self::ContentEncoding { allowed } => {
                let allowed: Vec<_> = allowed.iter().map(|encoding| encoding.as_str()).collect();
                format!(
                    "the Content-Encoding is not in `decompress.encodings` of the source, which has {}",
                    allowed.join(", ")
                )
            }
            other => other.message().to_owned(),
        }
    }

    /// The value of `Retry-After`, where a retry can succeed.
    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after, .. } => Some(*retry_after),
            // Drawn at random, so that all senders of an outage do not retry in the same second.
            _ if self.status() == StatusCode::SERVICE_UNAVAILABLE => {
                Some(Duration::from_secs(fastrand::u64(5..=30)))
            }
            _ => None,
        }
    }

    /// The reply: status, JSON body, and the headers that the status calls for.
    pub fn reply(&self) -> Reply {
        let mut reply = Reply::error(self.status(), self.code(), self.message());
        if let Some(span) = self.retry_after() {
            let secs = span.as_millis().div_ceil(1000).max(1);
            if let Ok(value) = HeaderValue::from_str(&secs.to_string()) {
                reply.headers.push((header::RETRY_AFTER, value));
            }
        }
        if let Self::Method { allowed } | Self::Firewall(FirewallRule::Method(allowed)) = self
            && let Ok(value) = HeaderValue::from_str(&method_list(allowed))
        {
            reply.headers.push((header::ALLOW, value));
        }
        reply
    }
}

/// The methods as the header `Allow` lists them.
fn method_list(methods: &[Method]) -> String {
    methods.iter().map(Method::as_str).collect::<Vec<_>>().join(", ")
}
