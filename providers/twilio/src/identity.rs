//! Identifies the events of a delivery. Twilio's products share no field for the event type: the
//! type of a form follows from the fields that each product sends, that of JSON from its `type`.

use hookward_core::scheme::{IdentityRules, OneOrMore, form_value};
use hookward_core::{IdentifyError, Identity, ProviderEventId, Verified};

use crate::signature::BODY_HASH_PARAMETER;

/// Event type of a delivery without any of these fields.
const DEFAULT_EVENT_TYPE: &str = "event";

/// Where type and id are in a JSON body, for a single event and for an array of events.
#[derive(Debug)]
pub(crate) struct JsonIdentityRules {
    single: IdentityRules,
    batch: IdentityRules,
}

impl JsonIdentityRules {
    pub(crate) fn new() -> Result<Self, hookward_core::scheme::SchemeError> {
        let locations =
            |list: &[&str]| Some(OneOrMore(list.iter().map(|place| (*place).to_owned()).collect()));
        let rules = |batch| {
            IdentityRules::new(locations(&["/type", "/EventType"]), locations(&["/id"]), batch)
        };
        Ok(Self { single: rules(None)?, batch: rules(Some(String::new()))? })
    }
}

/// Identifies the events of a verified delivery.
pub(crate) fn identify(
    json: &JsonIdentityRules,
    delivery: &Verified,
) -> Result<Vec<Identity>, IdentifyError> {
    let query = delivery.head().query().unwrap_or_default().as_bytes();
    let hashed = form_value(query, BODY_HASH_PARAMETER).ok().flatten().is_some();
    if hashed && !delivery.body().bytes().is_empty() {
        let is_array = delivery.json().is_ok_and(serde_json::Value::is_array);
        let rules = if is_array { &json.batch } else { &json.single };
        let mut found = rules.identify(delivery, |_| true)?;
        for identity in &mut found {
            identity.event_type.get_or_insert_with(|| DEFAULT_EVENT_TYPE.to_owned());
        }
        return Ok(found);
    }
    let fields = match delivery.body().bytes() {
        empty if empty.is_empty() => query,
        body => body.as_ref(),
    };
    let (event_type, event_id) = identify_form(|name| {
        form_value(fields, name).ok().flatten().filter(|text| !text.is_empty())
    });
    let event_id = event_id.map(ProviderEventId::signed);
    Ok(vec![Identity::new().with_event_type(event_type).with_event_id(event_id)])
}

/// Returns type and id of a form. No later event of the same object may have the same id, so it
/// includes the status or the sequence number.
fn identify_form(get: impl Fn(&str) -> Option<String>) -> (String, Option<String>) {
    let first = |names: &[&str]| names.iter().find_map(|name| get(name));
    let numbered =
        |sid: &str, word: &str| Some(format!("{}.{word}.{}", get(sid)?, get("SequenceNumber")?));
    if let Some(word) = get("EventType") {
        // TaskRouter gives each event its own id, which begins with `EV`.
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
    (DEFAULT_EVENT_TYPE.to_owned(), None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identified(form: &str) -> (String, Option<String>) {
        identify_form(|name| form_value(form.as_bytes(), name).ok().flatten())
    }

    #[test]
    fn the_fields_of_each_product_determine_type_and_id() {
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
            assert_eq!(identified(form), (event_type.to_owned(), id), "{form}");
        }
    }
}
