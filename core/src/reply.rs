//! The answer to a sender, and what it is made from.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;

use crate::event::EventId;
use crate::store::JobId;

/// An answer: any status, any headers, any bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// Headers in order; `Content-Length` is added by the server.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The exact body.
    pub body: Bytes,
}

impl Reply {
    /// A JSON answer. A value that cannot be written as JSON, which no type of ours is, gives an
    /// empty body.
    pub fn json(status: StatusCode, value: &impl Serialize) -> Self {
        let json = HeaderValue::from_static("application/json");
        let body = serde_json::to_vec(value).unwrap_or_default().into();
        Self { status, headers: vec![(header::CONTENT_TYPE, json)], body }
    }

    /// The JSON form of every error that Hookward answers: `{"error":message,"code":code}`.
    ///
    /// `message` is for people and may change; programs compare `code`. Neither may hold a secret or
    /// a part of a body, because the sender may be anyone.
    pub fn error(status: StatusCode, code: &str, message: &str) -> Self {
        Self::json(status, &ErrorBody { error: message, code })
    }

    /// A plain-text answer, never sniffed as anything else. No charset is named: senders that want a
    /// token back document `text/plain`, and tokens are ASCII.
    pub fn text(status: StatusCode, text: impl Into<Bytes>) -> Self {
        let headers = vec![
            (header::CONTENT_TYPE, HeaderValue::from_static("text/plain")),
            (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        ];
        Self { status, headers, body: text.into() }
    }

    /// An answer without a body.
    pub fn empty(status: StatusCode) -> Self {
        Self { status, headers: Vec::new(), body: Bytes::new() }
    }

    /// What Hookward answers unless a provider wants something else: 200 and
    /// `{"received":true,"eventId":…,"jobId":…}`, or the note that validation failed.
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

/// How a delivery as a whole was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryOutcome {
    /// At least one event has a job.
    Accepted,
    /// Stored; no route wants any of it.
    Unrouted,
    /// Stored for inspection; what was wanted was not valid.
    Invalid,
}

/// What was stored: the material of an answer.
#[derive(Debug, Clone)]
pub struct Receipt {
    /// How it was taken.
    pub outcome: DeliveryOutcome,
    /// The events in the order in which they stand in the delivery.
    pub events: Vec<ReceiptEvent>,
}

/// One event of a receipt.
#[derive(Debug, Clone)]
pub struct ReceiptEvent {
    /// Our id.
    pub id: EventId,
    /// The provider's type.
    pub event_type: Option<String>,
    /// The provider's id.
    pub event_id: Option<String>,
    /// The first of its jobs.
    pub job: Option<JobId>,
}
