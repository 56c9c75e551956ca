//! Identifies events in both schemas: Event Grid's own is an array of events, the CloudEvents
//! schema one event or an array.

use hookward_core::{IdentifyError, Identity, ProviderEventId, Verified};
use serde_json::Value;

/// Larger batches are not split into events.
const MAX_BATCH: usize = 10_000;

/// Identifies the events of a verified delivery.
pub(crate) fn identify(delivery: &Verified) -> Result<Vec<Identity>, IdentifyError> {
    let body = delivery.json().map_err(|e| IdentifyError::new(e.to_string()))?;
    let Some(events) = body.as_array() else { return Ok(vec![identity(body, None)]) };
    if events.len() > MAX_BATCH {
        let reason =
            format!("the batch has {} events; at most {MAX_BATCH} are allowed", events.len());
        return Err(IdentifyError::new(reason));
    }
    let one = |(n, event)| identity(event, Some(format!("/{n}")));
    Ok(events.iter().enumerate().map(one).collect())
}

/// Returns the identity of one event. Its id is unique only within its topic, or the source of a
/// CloudEvent, and several may deliver here. A secret or a token covers no byte more than another,
/// so the id counts as signed.
fn identity(event: &Value, item_pointer: Option<String>) -> Identity {
    let event_type = text(event, "eventType").or_else(|| text(event, "type"));
    let event_id = text(event, "id").map(ProviderEventId::signed);
    let scope = text(event, "topic").or_else(|| text(event, "source"));
    Identity::new()
        .with_event_type(event_type)
        .with_event_id(event_id)
        .with_item_pointer(item_pointer)
        .with_scope(scope)
}

fn text(event: &Value, name: &str) -> Option<String> {
    event.get(name)?.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

/// Percent-encodes a text for a query.
pub(crate) fn percent_encode(text: &str) -> String {
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
