//! The answer to a sender, and what it is made from.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, header};

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
    /// A JSON answer.
    pub fn json(status: StatusCode, value: &serde_json::Value) -> Self {
        let json = HeaderValue::from_static("application/json");
        Self { status, headers: vec![(header::CONTENT_TYPE, json)], body: value.to_string().into() }
    }

    /// A plain-text answer, never sniffed as anything else.
    pub fn text(status: StatusCode, text: impl Into<Bytes>) -> Self {
        let headers = vec![
            (header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8")),
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
        let value = match (receipt.outcome, receipt.events.first()) {
            (Outcome::Invalid, _) => {
                serde_json::json!({"received": true, "error": "Validation failed, event ignored"})
            }
            (_, None) => serde_json::json!({"received": true, "eventId": null, "jobId": null}),
            (_, Some(first)) => {
                let event_id = first.event_id.clone().unwrap_or_else(|| first.id.to_string());
                let job_id = first.job.map(|job| job.to_string());
                serde_json::json!({"received": true, "eventId": event_id, "jobId": job_id})
            }
        };
        Self::json(StatusCode::OK, &value)
    }
}

/// How a delivery as a whole was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
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
    pub outcome: Outcome,
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
