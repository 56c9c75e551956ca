//! Strict JSON, and what is made of it: items of a batch, lines of JSON.

use std::sync::Arc;

use hookward_core::store::{JobId, batch_item};
use hookward_core::{
    Body, Event, EventId, EventParts, HandlerCx, MAX_JSON_DEPTH, Timestamp, event_json,
    parse_strict,
};
use serde_json::Value;

/// Any bytes as a body.
pub fn run(data: &[u8]) {
    let strict = parse_strict(data);
    let lax = serde_json::from_slice::<Value>(data);
    match (&strict, &lax) {
        (Ok(strict), Ok(lax)) => {
            assert_eq!(strict, lax, "two readings");
            assert!(depth(strict) <= usize::from(MAX_JSON_DEPTH));
        }
        (Ok(_), Err(e)) => panic!("accepted, and is no JSON: {e}"),
        (Err(e), Ok(_)) => {
            let why = e.to_string();
            let ours = ["twice", "nested", "too many"];
            assert!(ours.iter().any(|word| why.contains(word)), "{why}");
        }
        (Err(_), Err(_)) => {}
    }
    let body = Body::new(data.to_vec());
    if let Ok(value) = &strict {
        let mut left = 50;
        items(value, String::new(), &mut left, &mut |pointer, item| {
            let part = batch_item(&body, pointer).map(|part| parse_strict(part.bytes()));
            assert!(matches!(part, Some(Ok(part)) if part == *item), "{pointer}");
        });
    }
    line(&body, strict.ok());
}

/// The event's line is one line, is JSON, and has the body in it.
fn line(body: &Body, value: Option<Value>) {
    let id = EventId::from_bytes([7; 16]);
    let event = Event::new(EventParts {
        id,
        source: "fuzz".into(),
        event_type: None,
        event_id: None,
        received_at: Timestamp::from_secs(0),
        headers: Arc::from([]),
        body: body.clone(),
    });
    let cx = HandlerCx {
        route: "r".into(),
        step: "s".into(),
        job: JobId { event: id, n: 0 },
        attempt: 1,
        deadline: Timestamp::from_secs(0),
        replay: false,
        event: id,
    };
    let line = event_json(&event, &cx);
    assert!(!line.contains(['\n', '\r']), "{line:?}");
    let read: Value = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}"));
    match value {
        Some(value) => assert_eq!(read["body"], value),
        None => assert!(read["bodyText"].is_string() || read["bodyBase64"].is_string(), "{line}"),
    }
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

fn items(value: &Value, at: String, left: &mut u32, look: &mut impl FnMut(&str, &Value)) {
    if *left == 0 {
        return;
    }
    *left -= 1;
    look(&at, value);
    match value {
        Value::Array(list) => {
            for (n, item) in list.iter().enumerate() {
                items(item, format!("{at}/{n}"), left, look);
            }
        }
        Value::Object(members) => {
            for (key, member) in members {
                let key = key.replace('~', "~0").replace('/', "~1");
                items(member, format!("{at}/{key}"), left, look);
            }
        }
        _ => {}
    }
}
