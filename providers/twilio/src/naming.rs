//! What a delivery is called. Twilio's products have no common word for it: forms are told apart by
//! the fields that each product sends, JSON by its `type`.

use hookward_core::scheme::{IdentityRules, OneOrMore, form_value};
use hookward_core::{IdentifyError, Identity, ProviderEventId, Verified};

use crate::signature::BODY_HASH;

/// The type of what none of these fields tells.
const UNNAMED: &str = "event";

/// The places in a JSON body, once for a single event and once for an array of them.
#[derive(Debug)]
pub(crate) struct JsonNaming {
    one: IdentityRules,
    many: IdentityRules,
}

impl JsonNaming {
    pub(crate) fn new() -> Result<Self, hookward_core::scheme::SchemeError> {
        let places =
            |list: &[&str]| Some(OneOrMore(list.iter().map(|place| (*place).to_owned()).collect()));
        let naming =
            |batch| IdentityRules::new(places(&["/type", "/EventType"]), places(&["/id"]), batch);
        Ok(Self { one: naming(None)?, many: naming(Some(String::new()))? })
    }
}

/// Names the events of a proven delivery.
pub(crate) fn identify(
    json: &JsonNaming,
    delivery: &Verified,
) -> Result<Vec<Identity>, IdentifyError> {
    let query = delivery.head().query().unwrap_or_default().as_bytes();
    let hashed = form_value(query, BODY_HASH).ok().flatten().is_some();
    if hashed && !delivery.body().bytes().is_empty() {
        let is_array = delivery.json().is_ok_and(serde_json::Value::is_array);
        let naming = if is_array { &json.many } else { &json.one };
        let mut found = naming.identify(delivery, |_| true)?;
        for identity in &mut found {
            identity.event_type.get_or_insert_with(|| UNNAMED.to_owned());
        }
        return Ok(found);
    }
    let fields = match delivery.body().bytes() {
        empty if empty.is_empty() => query,
        body => body.as_ref(),
    };
    let (event_type, event_id) =
        of_fields(|name| form_value(fields, name).ok().flatten().filter(|text| !text.is_empty()));
    let event_id = event_id.map(|value| ProviderEventId::signed(value));
    Ok(vec![Identity::new().with_event_type(event_type).with_event_id(event_id)])
}

/// Type and id. An id is what no later event of the same object has: its status, or its number in
/// a sequence, is a part of it.
fn of_fields(get: impl Fn(&str) -> Option<String>) -> (String, Option<String>) {
    let first = |names: &[&str]| names.iter().find_map(|name| get(name));
    let numbered =
        |sid: &str, word: &str| Some(format!("{}.{word}.{}", get(sid)?, get("SequenceNumber")?));
    if let Some(word) = get("EventType") {
        // TaskRouter gives each event a number of its own.
        return (word, get("Sid").filter(|sid| sid.starts_with("EV")));
    }
    if let (Some(sid), Some(status)) = (get("RecordingSid"), get("RecordingStatus")) {
        return (format!("recording.{status}"), Some(format!("{sid}.{status}")));
    }
    if let (Some(_), Some(word)) = (get("ConferenceSid"), get("StatusCallbackEvent")) {
        return (format!("conference.{word}"), numbered("ConferenceSid", &word));
    }
    let message = first(&["MessageSid", "SmsSid", "SmsMessageSid"]);
    if let (Some(sid), Some(status)) = (message, first(&["MessageStatus", "SmsStatus"])) {
        return (format!("message.{status}"), Some(format!("{sid}.{status}")));
    }
    if let Some(status) = get("CallStatus") {
        let id = numbered("CallSid", &status);
        return (format!("call.{status}"), id);
    }
    (UNNAMED.to_owned(), None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(form: &str) -> (String, Option<String>) {
        of_fields(|name| form_value(form.as_bytes(), name).ok().flatten())
    }

    #[test]
    fn each_product_is_told_by_its_fields() {
        for (form, event_type, id) in [
            (
                "MessageSid=SM1&SmsSid=SM1&SmsStatus=received&Body=Hi",
                "message.received",
                "SM1.received",
            ),
            ("MessageSid=SM1&MessageStatus=delivered", "message.delivered", "SM1.delivered"),
            ("CallSid=CA1&CallStatus=ringing", "call.ringing", ""),
            (
                "CallSid=CA1&CallStatus=completed&SequenceNumber=2",
                "call.completed",
                "CA1.completed.2",
            ),
            (
                "CallSid=CA1&RecordingSid=RE1&RecordingStatus=completed",
                "recording.completed",
                "RE1.completed",
            ),
            (
                "ConferenceSid=CF1&CallSid=CA1&StatusCallbackEvent=participant-join&SequenceNumber=1",
                "conference.participant-join",
                "CF1.participant-join.1",
            ),
            ("EventType=task.created&Sid=EV1", "task.created", "EV1"),
            ("EventType=onMessageAdded&MessageSid=IM1", "onMessageAdded", ""),
            ("x=1", "event", ""),
        ] {
            let id = Some(id.to_owned()).filter(|id| !id.is_empty());
            assert_eq!(named(form), (event_type.to_owned(), id), "{form}");
        }
    }
}
