//! An event as one line of JSON. The handlers `file`, `exec` and `http_forward` write it.

use data_encoding::BASE64;
use serde_json::Value;

use crate::event::Event;
use crate::handler::HandlerCx;
use crate::json::without_byte_order_mark;
use crate::json_repair::replace_half_surrogates;

/// Renders an event as one line of JSON, without a line end: the members `id`, `source`,
/// `eventType`, `eventId`, `receivedAt`, `route`, `attempt`, `headers` and `body`, in this order.
///
/// `headers` is an object of the kept headers, with names in lower case. Most senders do not sign
/// them.
///
/// The body stays as the sender wrote it, except that it is decompressed, that line ends and a byte
/// order mark are removed, and that half of a surrogate pair is U+FFFD: not every parser reads one.
/// Where the body is not strict JSON ([`parse_strict`](crate::parse_strict)), the last member is
/// `bodyText`, a string; where it is not UTF-8, `bodyBase64`. For a form, `body` is the JSON that
/// routes see ([`Body::json`]), and the form itself follows as `bodyText` or `bodyBase64`.
///
/// [`Body::json`]: crate::Body::json
pub fn event_json(event: &Event, cx: &HandlerCx) -> String {
    let mut line = String::with_capacity(256 + event.body().bytes().len());
    push_member(&mut line, '{', "id", &json_string(&event.id().to_string()));
    push_member(&mut line, ',', "source", &json_string(event.source()));
    push_member(&mut line, ',', "eventType", &json_string_or_null(event.event_type()));
    push_member(&mut line, ',', "eventId", &json_string_or_null(event.event_id()));
    push_member(&mut line, ',', "receivedAt", &json_string(&event.received_at().to_string()));
    push_member(&mut line, ',', "route", &json_string(&cx.route));
    push_member(&mut line, ',', "attempt", &cx.attempt.to_string());
    push_member(&mut line, ',', "headers", &render_headers(event));
    push_body(&mut line, event);
    line.push('}');
    line
}

/// Writes the members of the body. JSON keeps the sender's text, so that numbers and the order of
/// keys survive. In valid JSON a raw line end stands only between tokens that something else
/// separates too, so removing it changes no value.
fn push_body(line: &mut String, event: &Event) {
    let body = event.body();
    let content = body.content().unwrap_or(body.bytes());
    let content = without_byte_order_mark(content);
    let text = std::str::from_utf8(content);
    match (body.exact_json(), text) {
        (Ok(json), _) if body.is_form() => push_member(line, ',', "body", &json.to_string()),
        (Ok(_), Ok(json)) => {
            let repaired = replace_half_surrogates(content);
            let repaired = repaired.as_deref().and_then(|text| std::str::from_utf8(text).ok());
            let json = repaired.unwrap_or(json).trim();
            push_member(line, ',', "body", &json.replace(['\n', '\r'], ""));
            return;
        }
        _ => {}
    }
    match text {
        Ok(other) => push_member(line, ',', "bodyText", &json_string(other)),
        Err(_) => {
            push_member(line, ',', "bodyBase64", &json_string(&BASE64.encode(content)));
        }
    }
}

/// The kept headers as a JSON object. Each name occurs once, because only a header with one value
/// is kept.
fn render_headers(event: &Event) -> String {
    let mut object = String::from("{");
    for (n, (name, value)) in event.headers().iter().enumerate() {
        if n > 0 {
            object.push(',');
        }
        object.push_str(&json_string(name));
        object.push(':');
        object.push_str(&json_string(value));
    }
    object.push('}');
    object
}

fn push_member(line: &mut String, before: char, name: &str, json: &str) {
    line.push(before);
    line.push('"');
    line.push_str(name);
    line.push_str("\":");
    line.push_str(json);
}

fn json_string(text: &str) -> String {
    Value::from(text).to_string()
}

fn json_string_or_null(text: Option<&str>) -> String {
    Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::body::Body;
    use crate::clock::{SystemClock, Timestamp};
    use crate::event::EventParts;
    use crate::id::{EventId, JobId};

    fn line_of(body: &[u8]) -> String {
        let id = EventId::from_bytes([7; 16]);
        let parts = EventParts::new(
            id,
            "partner",
            Timestamp::from_secs(1_760_000_000),
            Body::new(body.to_vec()),
        );
        let headers = [
            ("x-shopify-shop-domain".to_owned(), "a.myshopify.com".to_owned()),
            ("x-title".to_owned(), "a \"b\"\tc".to_owned()),
        ];
        let parts = parts.with_event_id("evt\n1".to_owned()).with_headers(headers.into());
        let event = Event::new(parts);
        let job = JobId { event: id, n: 0 };
        let cx =
            HandlerCx::new("paid", "file", job, Duration::from_secs(30), Arc::new(SystemClock))
                .with_attempt(2);
        event_json(&event, &cx)
    }

    #[test]
    fn an_event_line_has_its_keys_in_order_and_no_line_end() {
        assert_eq!(
            line_of(b"{\"b\": 1,\r\n \"a\": 12345678901234567890123}\n"),
            "{\"id\":\"07070707-0707-0707-0707-070707070707\",\"source\":\"partner\",\"eventType\":null,\
             \"eventId\":\"evt\\n1\",\"receivedAt\":\"2025-10-09T08:53:20Z\",\"route\":\"paid\",\"attempt\":2,\
             \"headers\":{\"x-shopify-shop-domain\":\"a.myshopify.com\",\"x-title\":\"a \\\"b\\\"\\tc\"},\
             \"body\":{\"b\": 1, \"a\": 12345678901234567890123}}"
        );
    }

    #[test]
    fn a_body_that_is_not_strict_json_is_rendered_as_text_or_base64() {
        assert!(line_of(b"a=1\n").ends_with(r#""bodyText":"a=1\n"}"#));
        assert!(line_of(b"").ends_with(r#""bodyText":""}"#));
        assert!(line_of(br#"{"a":1,"a":2}"#).contains(r#""bodyText":"{"#));
        assert!(line_of(b"\xff\x00").ends_with(r#""bodyBase64":"/wA="}"#));
    }
}
