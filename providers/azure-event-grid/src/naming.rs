//! Names of events in either schema: Event Grid's own is an array of events, the CloudEvents schema one
//! event or an array of them.

use hookward_core::{IdentifyError, Identity, ProviderEventId, Verified};
use serde_json::Value;

/// Larger batches are not taken apart.
const MAX_BATCH: usize = 10_000;

/// Names the events of a proven delivery.
pub(crate) fn identify(delivery: &Verified) -> Result<Vec<Identity>, IdentifyError> {
    let body = delivery.json().map_err(|e| IdentifyError { reason: e.to_string() })?;
    let Some(events) = body.as_array() else { return Ok(vec![named(body, None)]) };
    if events.is_empty() || events.len() > MAX_BATCH {
        let reason = format!("a batch of {} events; allowed are 1 to {MAX_BATCH}", events.len());
        return Err(IdentifyError { reason });
    }
    let one = |(n, event)| named(event, Some(format!("/{n}")));
    Ok(events.iter().enumerate().map(one).collect())
}

/// The topic of one of those events, or its source as a CloudEvent.
pub(crate) fn scope(delivery: &Verified, event: &Identity) -> Option<String> {
    let body = delivery.json().ok()?;
    let event = body.pointer(event.part.as_deref().unwrap_or_default())?;
    text(event, "topic").or_else(|| text(event, "source"))
}

/// A secret or a token covers all that its sender wrote, or nothing.
fn named(event: &Value, part: Option<String>) -> Identity {
    let event_type = text(event, "eventType").or_else(|| text(event, "type"));
    let event_id = text(event, "id").map(|value| ProviderEventId { value, signed: true });
    Identity { event_type, event_id, part }
}

fn text(event: &Value, name: &str) -> Option<String> {
    event.get(name)?.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

/// A text as it stands in a query.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}
