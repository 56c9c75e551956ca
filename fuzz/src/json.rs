//! Target `json`: the strict JSON parser, items of a batch, and events as one line of JSON.

use std::sync::Arc;
use std::time::Duration;

use hookward_core::store::{JobId, batch_item};
use hookward_core::{
    Body, Event, EventId, EventParts, HandlerCx, MAX_JSON_DEPTH, SystemClock, Timestamp,
    event_json, parse_strict,
};
use serde_json::Value;

/// Items of a body that are checked; each costs a parse.
const MAX_ITEMS: u32 = 50;

/// Parses the bytes as a body, strictly and with serde_json. Where both accept, the values must be
/// equal.
pub fn run(data: &[u8]) {
    let strict = parse_strict(data);
    let lax = serde_json::from_slice::<Value>(data);
    match (&strict, &lax) {
        (Ok(strict), Ok(lax)) => {
            assert!(is_same(strict, lax), "the strict parser and serde_json differ");
            assert!(depth(strict) <= usize::from(MAX_JSON_DEPTH));
        }
        // A byte order mark, half of a surrogate pair, and a number beyond an `f64`.
        (Ok(_), Err(e)) => {
            let reason = e.to_string();
            let strict_only = ["expected value", "surrogate", "hex escape", "out of range"];
            assert!(strict_only.iter().any(|word| reason.contains(word)), "{reason}");
        }
        (Err(e), Ok(_)) => {
            let reason = e.to_string();
            let strict_only = ["twice", "nested", "too many"];
            assert!(strict_only.iter().any(|word| reason.contains(word)), "{reason}");
        }
        (Err(_), Err(_)) => {}
    }
    let body = Body::new(data.to_vec());
    if let Ok(value) = &strict {
        let mut left = MAX_ITEMS;
        visit_items(value, String::new(), &mut left, &mut |pointer, item| {
            let part = batch_item(&body, pointer).map(|part| parse_strict(part.bytes()));
            assert!(matches!(part, Some(Ok(part)) if part == *item), "{pointer}");
        });
    }
    // The line has the sender's text, so serde_json must be able to read it.
    if lax.is_ok() || strict.is_err() {
        check_event_json(&body, strict.ok());
    }
}

/// Checks that the event's JSON is one line and contains the body.
fn check_event_json(body: &Body, value: Option<Value>) {
    let id = EventId::from_bytes([7; 16]);
    let event = Event::new(EventParts::new(id, "fuzz", Timestamp::from_secs(0), body.clone()));
    let job = JobId { event: id, n: 0 };
    let cx = HandlerCx::new("r", "s", job, Duration::from_secs(30), Arc::new(SystemClock));
    let line = event_json(&event, &cx);
    assert!(!line.contains(['\n', '\r']), "{line:?}");
    let read: Value = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}"));
    match value {
        Some(value) => assert!(is_same(&read["body"], &value), "{line}"),
        None => assert!(read["bodyText"].is_string() || read["bodyBase64"].is_string(), "{line}"),
    }
}

/// Whether two values are equal, but for the last bit of an `f64`: serde_json rounds some wrongly.
fn is_same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| is_same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            let same = |(name, a)| b.get(name).is_some_and(|b| is_same(a, b));
            a.len() == b.len() && a.iter().all(same)
        }
        (Value::Number(a), Value::Number(b)) if a.is_f64() && b.is_f64() => {
            let (a, b) = (a.as_f64().unwrap_or_default(), b.as_f64().unwrap_or_default());
            (a - b).abs() <= a.abs() * 4.0 * f64::EPSILON || (a - b).abs() < f64::MIN_POSITIVE
        }
        (a, b) => a == b,
    }
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// Visits a value and all values inside it, with their JSON pointers, until `left` is used up.
fn visit_items(value: &Value, at: String, left: &mut u32, visit: &mut impl FnMut(&str, &Value)) {
    if *left == 0 {
        return;
    }
    *left -= 1;
    visit(&at, value);
    match value {
        Value::Array(list) => {
            for (n, item) in list.iter().enumerate() {
                visit_items(item, format!("{at}/{n}"), left, visit);
            }
        }
        Value::Object(members) => {
            for (key, member) in members {
                let key = key.replace('~', "~0").replace('/', "~1");
                visit_items(member, format!("{at}/{key}"), left, visit);
            }
        }
        _ => {}
    }
}
