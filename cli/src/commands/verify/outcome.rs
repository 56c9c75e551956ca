//! The result of verifying one request, printed as text or as JSON.

use std::process::ExitCode;

use hookward_core::{Identity, Proof, Reply};
use serde_json::{Value, json};

use crate::diagnose::{self, Trial};
use crate::{EXIT_ERROR, output};

/// The result of verifying one request.
#[derive(Debug)]
pub(super) enum VerifyOutcome {
    Accept { events: Vec<Identity>, unnamed: Option<String>, secret: usize, of: usize },
    Handshake(Reply),
    Reject { code: &'static str, explanation: String },
}

impl VerifyOutcome {
    /// Verifies the request, and explains a failure.
    pub(super) async fn verify(trial: &Trial<'_>) -> Self {
        match trial.prove().await {
            Ok(Proof::Genuine(delivery)) => {
                let (events, unnamed) = match trial.provider.identify(&delivery) {
                    Ok(events) => (events, None),
                    Err(e) => (Vec::new(), Some(e.to_string())),
                };
                Self::Accept {
                    events,
                    unnamed,
                    secret: delivery.secret_index(),
                    of: trial.secrets.len(),
                }
            }
            Ok(Proof::Handshake(handshake)) => Self::Handshake(handshake.reply),
            Err(error) => Self::Reject {
                code: error.code(),
                explanation: diagnose::explain(trial, &error).await,
            },
        }
    }

    pub(super) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Handshake(reply) if reply.status.as_u16() >= 400 => ExitCode::from(EXIT_ERROR),
            Self::Accept { .. } | Self::Handshake(_) => ExitCode::SUCCESS,
            Self::Reject { .. } => ExitCode::from(EXIT_ERROR),
        }
    }

    pub(super) fn print(&self, as_json: bool) {
        output::line(if as_json { self.json() } else { self.text() });
    }

    fn json(&self) -> String {
        match self {
            Self::Accept { events, secret, .. } => {
                let first = events.first();
                let one = |e: &Identity| json!({"type": e.event_type, "id": id_of(e)});
                object(&[
                    ("verdict", json!("accept")),
                    ("eventType", json!(first.and_then(|e| e.event_type.as_deref()))),
                    ("eventId", json!(first.and_then(id_of))),
                    ("events", events.iter().map(one).collect()),
                    ("secret", json!(secret)),
                ])
            }
            Self::Handshake(reply) => object(&handshake(reply)),
            Self::Reject { code, explanation } => object(&[
                ("verdict", json!("reject")),
                ("code", json!(code)),
                ("explanation", json!(explanation)),
            ]),
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Accept { events, unnamed, secret, of } => {
                let mut lines = vec!["accepted: the sender wrote exactly these bytes".to_owned()];
                for event in events {
                    let kind = event.event_type.as_deref().unwrap_or("without a type");
                    let id = id_of(event).unwrap_or("without an id");
                    lines.push(format!("  event {kind}, {id}"));
                }
                if events.is_empty() && unnamed.is_none() {
                    lines
                        .push("  an empty batch: it is answered, and nothing is stored".to_owned());
                }
                if let Some(reason) = unnamed {
                    lines.push(format!("  its events cannot be identified: {reason}"));
                }
                if *of > 1 {
                    lines.push(format!("  secret {} of {of} matched", secret + 1));
                }
                lines.join("\n")
            }
            Self::Handshake(reply) => format!(
                "handshake: a set-up request, not an event; the answer is {} with {} bytes",
                reply.status.as_u16(),
                reply.body.len()
            ),
            Self::Reject { code, explanation } => format!("rejected: {code}\n  {explanation}"),
        }
    }
}

/// The JSON members of a handshake. A body that is not UTF-8 has replacement characters.
pub(super) fn handshake(reply: &Reply) -> [(&'static str, Value); 4] {
    let text = |bytes: &[u8]| json!(String::from_utf8_lossy(bytes));
    let headers = reply.headers.iter().map(|(n, v)| (n.as_str().to_owned(), text(v.as_bytes())));
    [
        ("verdict", json!("handshake")),
        ("status", json!(reply.status.as_u16())),
        ("headers", headers.collect()),
        ("body", text(&reply.body)),
    ]
}

/// A JSON object with its members in this order: the verdict is what people look for first.
pub(super) fn object(members: &[(&str, Value)]) -> String {
    let members: Vec<_> = members.iter().map(|(k, v)| format!("{}:{v}", json!(k))).collect();
    format!("{{{}}}", members.join(","))
}

fn id_of(event: &Identity) -> Option<&str> {
    event.event_id.as_ref().map(|id| id.value.as_str())
}
