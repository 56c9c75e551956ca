//! The three modes of events (HTTP protocol binding, section 3). The media type selects the mode.

use hookward_core::{Head, IdentifyError, Identity, ProviderEventId, Verified, VerifyError};
use http::header;
use serde_json::Value;

/// Larger batches are not split into events.
const MAX_BATCH: usize = 10_000;
/// Headers that identify an event in binary mode.
const ATTRIBUTES: [&str; 3] = ["ce-type", "ce-id", "ce-source"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Binary,
    Structured,
    Batch,
    /// An event format other than JSON, which is not supported.
    Unsupported,
}

fn mode(head: &Head) -> Mode {
    let given = head.headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok());
    let essence = given.and_then(|v| v.split(';').next()).unwrap_or_default().trim();
    match essence.to_ascii_lowercase().as_str() {
        "application/cloudevents+json" => Mode::Structured,
        "application/cloudevents-batch+json" => Mode::Batch,
        other if other.starts_with("application/cloudevents") => Mode::Unsupported,
        _ => Mode::Binary,
    }
}

/// Rejects a head with a repeated attribute or media type: receivers could disagree on which value
/// counts.
pub(crate) fn precheck(head: &Head) -> Result<(), VerifyError> {
    head.single("content-type")?;
    ATTRIBUTES.iter().try_for_each(|name| head.single(name).map(drop))
}

/// Identifies the events of a verified delivery.
pub(crate) fn identify(delivery: &Verified) -> Result<Vec<Identity>, IdentifyError> {
    let error = |reason: String| IdentifyError::new(reason);
    let json = || delivery.json().map_err(|e| error(e.to_string()));
    match mode(delivery.head()) {
        Mode::Binary => {
            let attribute = |name| attribute(delivery, name);
            let (kind, id) = (attribute("ce-type"), attribute("ce-id"));
            Ok(vec![identity(kind, id, attribute("ce-source"), None)])
        }
        Mode::Structured => Ok(vec![json_identity(json()?, None)]),
        Mode::Batch => {
            let events =
                json()?.as_array().ok_or_else(|| error("the batch is not an array".to_owned()))?;
            // The JSON format allows an empty batch (cloudevents/formats/json-format.md, section 4).
            if events.len() > MAX_BATCH {
                let reason = format!(
                    "the batch has {} events; at most {MAX_BATCH} are allowed",
                    events.len()
                );
                return Err(error(reason));
            }
            let one = |(n, event)| json_identity(event, Some(format!("/{n}")));
            Ok(events.iter().enumerate().map(one).collect())
        }
        Mode::Unsupported => {
            Err(error("the event format is not JSON; only JSON is supported".to_owned()))
        }
    }
}

/// Returns the identity of one event. Its id is unique only within its `source` (CloudEvents,
/// section "id"), and many sources may send here. The token covers headers no less than the body,
/// so the id counts as signed. If it did not, the body would become part of the dedupe key.
fn identity(
    event_type: Option<String>,
    id: Option<String>,
    source: Option<String>,
    item_pointer: Option<String>,
) -> Identity {
    Identity::new()
        .with_event_type(event_type)
        .with_event_id(id.map(ProviderEventId::signed))
        .with_scope(source)
        .with_item_pointer(item_pointer)
}

fn json_identity(event: &Value, item_pointer: Option<String>) -> Identity {
    identity(member(event, "type"), member(event, "id"), member(event, "source"), item_pointer)
}

fn member(event: &Value, name: &str) -> Option<String> {
    event.get(name)?.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

/// Returns the value of an attribute header, in which all but visible ASCII is percent-encoded
/// (section 3.1.3.2).
fn attribute(delivery: &Verified, name: &str) -> Option<String> {
    percent_decode(delivery.header(name)?).filter(|text| !text.is_empty())
}

/// Decodes percent escapes; other characters stay unchanged. `None` if the result is not UTF-8.
fn percent_decode(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        let digit = |n: usize| after.get(n).and_then(|b| char::from(*b).to_digit(16));
        rest = match (byte, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => {
                out.push(u8::try_from(high * 16 + low).unwrap_or_default());
                after.get(2..).unwrap_or_default()
            }
            _ => {
                out.push(*byte);
                after
            }
        };
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn the_media_type_selects_the_mode() {
        let mode_of = |text: &'static str| {
            let mut head = Head::default();
            head.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(text));
            mode(&head)
        };
        assert_eq!(mode_of("application/cloudevents+json; charset=UTF-8"), Mode::Structured);
        assert_eq!(mode_of("Application/CloudEvents-Batch+JSON"), Mode::Batch);
        assert_eq!(mode_of("application/cloudevents+avro"), Mode::Unsupported);
        assert_eq!(mode_of("application/json"), Mode::Binary);
        assert_eq!(mode(&Head::default()), Mode::Binary);
    }

    #[test]
    fn valid_escapes_in_headers_are_decoded() {
        assert_eq!(percent_decode("Euro%20%E2%82%AC").as_deref(), Some("Euro €"));
        assert_eq!(percent_decode("100%").as_deref(), Some("100%"));
        assert_eq!(percent_decode("%zz%4").as_deref(), Some("%zz%4"));
        assert_eq!(percent_decode("%FF"), None);
    }
}
