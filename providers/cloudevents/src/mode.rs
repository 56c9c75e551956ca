//! The three modes in which events come (the HTTP protocol binding, section 3): which it is, is said by
//! the media type.

use hookward_core::{Head, IdentifyError, Identity, ProviderEventId, Verified, VerifyError};
use http::header;
use serde_json::Value;

/// Larger batches are not taken apart.
const MAX_BATCH: usize = 10_000;
/// The attributes by which an event is known, in binary mode.
const ATTRIBUTES: [&str; 3] = ["ce-type", "ce-id", "ce-source"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Binary,
    Structured,
    Batch,
    /// An event format other than JSON.
    Unread,
}

fn mode(head: &Head) -> Mode {
    let given = head.headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok());
    let essence = given.and_then(|v| v.split(';').next()).unwrap_or_default().trim();
    match essence.to_ascii_lowercase().as_str() {
        "application/cloudevents+json" => Mode::Structured,
        "application/cloudevents-batch+json" => Mode::Batch,
        other if other.starts_with("application/cloudevents") => Mode::Unread,
        _ => Mode::Binary,
    }
}

/// Refuses a head in which an attribute is given twice, or a media type.
pub(crate) fn precheck(head: &Head) -> Result<(), VerifyError> {
    head.single("content-type")?;
    ATTRIBUTES.iter().try_for_each(|name| head.single(name).map(drop))
}

/// Names the events of a proven delivery.
pub(crate) fn identify(delivery: &Verified) -> Result<Vec<Identity>, IdentifyError> {
    let unread = |reason: String| IdentifyError { reason };
    let json = || delivery.json().map_err(|e| unread(e.to_string()));
    match mode(delivery.head()) {
        Mode::Binary => {
            let event_type = attribute(delivery, "ce-type");
            Ok(vec![named(event_type, attribute(delivery, "ce-id"), None)])
        }
        Mode::Structured => {
            let event = json()?;
            Ok(vec![named(member(event, "type"), member(event, "id"), None)])
        }
        Mode::Batch => {
            let events =
                json()?.as_array().ok_or_else(|| unread("a batch is an array".to_owned()))?;
            if events.is_empty() || events.len() > MAX_BATCH {
                let reason =
                    format!("a batch of {} events; allowed are 1 to {MAX_BATCH}", events.len());
                return Err(unread(reason));
            }
            let one = |(n, event)| {
                named(member(event, "type"), member(event, "id"), Some(format!("/{n}")))
            };
            Ok(events.iter().enumerate().map(one).collect())
        }
        Mode::Unread => Err(unread("of the event formats only JSON is read".to_owned())),
    }
}

/// The source of one of those events.
pub(crate) fn source(delivery: &Verified, event: &Identity) -> Option<String> {
    match mode(delivery.head()) {
        Mode::Binary => attribute(delivery, "ce-source"),
        Mode::Structured => member(delivery.json().ok()?, "source"),
        Mode::Batch => member(delivery.json().ok()?.pointer(event.part.as_deref()?)?, "source"),
        Mode::Unread => None,
    }
}

/// A token covers all of a request or nothing, headers no less than the body: looking at the body
/// beside an id would only take two events of one content for one.
fn named(event_type: Option<String>, id: Option<String>, part: Option<String>) -> Identity {
    let event_id = id.map(|value| ProviderEventId { value, signed: true });
    Identity { event_type, event_id, part }
}

fn member(event: &Value, name: &str) -> Option<String> {
    event.get(name)?.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

/// A header's value, in which other than plain ASCII is percent-encoded.
fn attribute(delivery: &Verified, name: &str) -> Option<String> {
    decoded(delivery.header(name)?).filter(|text| !text.is_empty())
}

/// What is no escape stays as it is; what would be no text is none.
fn decoded(text: &str) -> Option<String> {
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
    fn the_media_type_says_the_mode() {
        let of = |text: &'static str| {
            let mut head = Head::default();
            head.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(text));
            mode(&head)
        };
        assert_eq!(of("application/cloudevents+json; charset=UTF-8"), Mode::Structured);
        assert_eq!(of("Application/CloudEvents-Batch+JSON"), Mode::Batch);
        assert_eq!(of("application/cloudevents+avro"), Mode::Unread);
        assert_eq!(of("application/json"), Mode::Binary);
        assert_eq!(mode(&Head::default()), Mode::Binary);
    }

    #[test]
    fn escapes_in_headers_are_read_and_others_stay() {
        assert_eq!(decoded("Euro%20%E2%82%AC").as_deref(), Some("Euro €"));
        assert_eq!(decoded("100%").as_deref(), Some("100%"));
        assert_eq!(decoded("%zz%4").as_deref(), Some("%zz%4"));
        assert_eq!(decoded("%FF"), None);
    }
}
