//! The replies that Discord requires. The PING of an interactions endpoint gets a PONG. The PING of
//! a webhook events endpoint and an event get an empty 204. An interaction gets a deferred
//! response, because handlers do the work later.

use hookward_core::{Reply, Request};
use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};

/// Returns the reply to a verified request if it is a PING.
pub(crate) fn answer(request: &Request) -> Option<Reply> {
    let body = request.body.json().ok()?;
    match body.get("type").and_then(Value::as_u64)? {
        // A webhook event has type 1 as well, but it has a member `event`.
        1 if body.get("event").is_none() => Some(Reply::json(StatusCode::OK, &json!({"type": 1}))),
        0 => Some(no_content()),
        _ => None,
    }
}

/// Returns the reply once an event of this type is stored. The type of an interaction is a number
/// (discord-api-docs, "Interaction Callback Type").
pub(crate) fn acknowledgement(event_type: Option<&str>) -> Reply {
    let deferred = match event_type {
        // A command or a submitted form: DEFERRED_CHANNEL_MESSAGE_WITH_SOURCE.
        Some("2" | "5") => json!({"type": 5}),
        // A component: DEFERRED_UPDATE_MESSAGE.
        Some("3") => json!({"type": 6}),
        // Autocompletion cannot be deferred: APPLICATION_COMMAND_AUTOCOMPLETE_RESULT without
        // choices.
        Some("4") => json!({"type": 8, "data": {"choices": []}}),
        _ => return no_content(),
    };
    Reply::json(StatusCode::OK, &deferred)
}

/// An empty 204. Discord requires a media type even without content.
fn no_content() -> Reply {
    let mut reply = Reply::empty(StatusCode::NO_CONTENT);
    reply.headers.push((header::CONTENT_TYPE, HeaderValue::from_static("application/json")));
    reply
}

#[cfg(test)]
mod tests {
    use hookward_core::{Body, Head};

    use super::*;

    fn answer_to(body: &str) -> Option<(u16, String)> {
        let reply = answer(&Request::new(Head::default(), Body::new(body.to_owned())))?;
        Some((reply.status.as_u16(), String::from_utf8(reply.body.to_vec()).unwrap()))
    }

    #[test]
    fn pings_of_both_kinds_are_answered_and_events_are_not() {
        assert_eq!(answer_to(r#"{"type":1}"#), Some((200, r#"{"type":1}"#.to_owned())));
        assert_eq!(answer_to(r#"{"version":1,"type":0}"#), Some((204, String::new())));
        for event in [r#"{"type":1,"event":{"type":"X"}}"#, r#"{"type":2}"#, r#"{"type":"1"}"#, "x"]
        {
            assert_eq!(answer_to(event), None, "{event}");
        }
    }

    #[test]
    fn an_interaction_is_deferred_and_an_event_has_no_content() {
        let body = |event_type| acknowledgement(event_type).body;
        assert_eq!(body(Some("2")).as_ref(), br#"{"type":5}"#);
        assert_eq!(body(Some("3")).as_ref(), br#"{"type":6}"#);
        assert_eq!(body(Some("4")).as_ref(), br#"{"data":{"choices":[]},"type":8}"#);
        for other in [Some("APPLICATION_AUTHORIZED"), None] {
            let reply = acknowledgement(other);
            assert_eq!((reply.status.as_u16(), reply.body.len()), (204, 0));
        }
    }
}
