//! The answer to a sender, and the receipt that a provider makes it from.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;

use crate::id::{EventId, JobId};

/// An HTTP answer to a sender. The store keeps the answer of an accepted delivery, and every
/// repetition receives the same status, headers and bytes.
///
/// ```
/// use hookward_core::Reply;
/// use http::{HeaderName, HeaderValue, StatusCode};
///
/// let reply = Reply::text(StatusCode::OK, "[accepted]");
/// assert_eq!(&reply.body[..], b"[accepted]");
///
/// let name = HeaderName::from_static("x-partner");
/// let reply = Reply::empty(StatusCode::ACCEPTED).with_header(name, HeaderValue::from_static("1"));
/// assert!(reply.body.is_empty());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reply {
    /// The status code; below 400 accepts the delivery.
    pub status: StatusCode,
    /// Headers in the order in which they are sent. The server adds `Content-Length` and `Date`.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The body, sent byte for byte.
    pub body: Bytes,
}

impl Reply {
    /// An answer without headers and body, to which setters add.
    pub fn empty(status: StatusCode) -> Self {
        Self { status, headers: Vec::new(), body: Bytes::new() }
    }

    setters! {
        with_headers => headers: Vec<(HeaderName, HeaderValue)>;
        with_body => body: into Bytes;
    }

    /// Adds one header after those that are set already.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// An answer with a JSON body. The body is empty where `value` cannot be written as JSON, such
    /// as a map whose keys are not texts.
    pub fn json(status: StatusCode, value: &impl Serialize) -> Self {
        let json = HeaderValue::from_static("application/json");
        Self::empty(status)
            .with_header(header::CONTENT_TYPE, json)
            .with_body(serde_json::to_vec(value).unwrap_or_default())
    }

    /// The JSON form of every error that Hookward answers: `{"error":message,"code":code}`.
    ///
    /// `message` is for people and may change; programs compare `code`. Neither may hold a secret
    /// or a part of a body, because the sender may be anyone.
    pub fn error(status: StatusCode, code: &str, message: &str) -> Self {
        Self::json(status, &ErrorBody { error: message, code })
    }

    /// An answer with a plain-text body and `nosniff`, so that no browser reads it as markup. It
    /// names no charset: senders that want a token echoed document `text/plain`, and tokens are
    /// ASCII.
    pub fn text(status: StatusCode, text: impl Into<Bytes>) -> Self {
        Self::empty(status)
            .with_header(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"))
            .with_header(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"))
            .with_body(text)
    }

    /// The answer that Hookward gives unless a provider overrides
    /// [`Provider::reply`](crate::Provider::reply): 200 and
    /// `{"received":true,"eventId":…,"jobId":…}`, or a note that validation failed.
    pub fn received(receipt: &Receipt) -> Self {
        if receipt.outcome == DeliveryOutcome::Invalid {
            let error = "Validation failed, event ignored";
            return Self::json(StatusCode::OK, &Ignored { received: true, error });
        }
        let first = receipt.events.first();
        let name = |e: &ReceiptEvent| e.event_id.clone().unwrap_or_else(|| e.id.to_string());
        let answer = Received {
            received: true,
            event_id: first.map(name),
            job_id: first.and_then(|e| e.job).map(|job| job.to_string()),
        };
        Self::json(StatusCode::OK, &answer)
    }
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    error: &'a str,
    code: &'a str,
}

/// The members in the order in which they are documented.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Received {
    received: bool,
    event_id: Option<String>,
    job_id: Option<String>,
}

#[derive(Serialize)]
struct Ignored {
    received: bool,
    error: &'static str,
}

/// What became of a delivery as a whole. Closed on purpose: providers choose their answer by it.
///
/// A duplicate has no outcome of its own: it gets the stored answer of the first delivery, byte for
/// byte, and no provider is asked again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryOutcome {
    /// Stored, and at least one of its events has a job.
    Accepted,
    /// Stored without jobs: no route matches any of its events.
    Unrouted,
    /// Stored for inspection without jobs: the matching routes found every event invalid.
    Invalid,
    /// Proven, and nothing is stored: the sender's batch is empty. Senders that batch send one to
    /// try a URL that was just saved.
    NoEvents,
}

/// What was stored of a delivery: the input of [`Provider::reply`](crate::Provider::reply).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Receipt {
    /// What became of the delivery as a whole.
    pub outcome: DeliveryOutcome,
    /// The events in the order in which they stand in the delivery; empty with
    /// [`DeliveryOutcome::NoEvents`].
    pub events: Vec<ReceiptEvent>,
}

impl Receipt {
    /// A receipt of these events, in the order in which they stand in the delivery.
    pub fn new(outcome: DeliveryOutcome, events: Vec<ReceiptEvent>) -> Self {
        Self { outcome, events }
    }
}

/// One event of a receipt.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ReceiptEvent {
    /// The id that Hookward gave the event.
    pub id: EventId,
    /// The provider's word for what happened; `None` where the delivery does not say it.
    pub event_type: Option<String>,
    /// The provider's id of the event; `None` where the provider gives none.
    pub event_id: Option<String>,
    /// The first of the event's jobs; `None` where no route matches.
    pub job: Option<JobId>,
}

impl ReceiptEvent {
    /// An event without type, provider's id and job.
    pub fn new(id: EventId) -> Self {
        Self { id, event_type: None, event_id: None, job: None }
    }

    setters! {
        with_event_type => event_type: into Option<String>;
        with_event_id => event_id: into Option<String>;
        with_job => job: into Option<JobId>;
    }
}
