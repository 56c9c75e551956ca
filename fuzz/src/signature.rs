//! The parsers of signatures: anything at all in every place where any provider looks for one.

use std::sync::OnceLock;

use hookward_core::{Body, Head, Request, Verification};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::Value;

use super::input::lines;
use super::senders::{self, Sender};

/// Names of headers, and which line of the input goes there.
struct Places {
    headers: Vec<(HeaderName, usize)>,
    fields: Vec<String>,
}

/// Lines: the signature, the time, the id, then the body. No request may be believed, and what the
/// head alone refuses must be refused in full.
pub fn run(data: &[u8]) {
    let parts: [&[u8]; 4] = lines(data);
    let Some(request) = request(&parts) else { return };
    for sender in senders::all() {
        let early = sender.provider.precheck(&request.head);
        match sender.verify(&request) {
            Ok(Verification::Genuine { .. }) => {
                // The fuzzer may well find a token: it is in this program.
                let secret = sender.secret.as_bytes();
                let given = || data.windows(secret.len()).any(|w| w == secret);
                let token = sender.scheme.is_none() || (sender.by_token() && given());
                assert!(token || !sender.descriptor.needs_secret, "{} believes it", sender.name);
                assert_eq!(early, Ok(()), "{}", sender.name);
            }
            Ok(_) => {}
            Err(error) => {
                let told = error.to_string();
                assert!(!told.contains(&sender.secret), "{}: {told}", sender.name);
                if let Err(early) = early {
                    assert_eq!(early, error, "{} changes its mind", sender.name);
                }
                continue;
            }
        }
        assert_eq!(early, Ok(()), "{}", sender.name);
    }
}

fn request(parts: &[&[u8]; 4]) -> Option<Request> {
    let places = places();
    let mut headers = HeaderMap::new();
    for (name, part) in &places.headers {
        // A line may be two headers of one name.
        for value in parts.get(*part)?.split(|b| *b == b'\r').take(3) {
            headers.append(name, HeaderValue::from_bytes(value).ok()?);
        }
    }
    let query = String::from_utf8_lossy(parts[0]);
    let query: Vec<String> = places.fields.iter().map(|f| format!("{f}={query}")).collect();
    let target = format!("/webhooks/x?{}", query.join("&"));
    let head = Head { method: Method::POST, target, headers, client: None };
    Some(Request::new(head, Body::new(parts[3].to_vec())))
}

fn places() -> &'static Places {
    static PLACES: OnceLock<Places> = OnceLock::new();
    PLACES.get_or_init(|| {
        let mut places = Places { headers: Vec::new(), fields: Vec::new() };
        for sender in senders::all() {
            let Some(scheme) = &sender.scheme else { continue };
            signature(&mut places, sender);
            let mut texts = Vec::new();
            strings(scheme, &mut texts);
            for name in texts.iter().filter_map(|t| t.strip_prefix("header:")) {
                let time = sender.says("/timestamp/from") == Some(&format!("header:{name}"));
                add(&mut places, name, if time { 1 } else { 2 });
            }
            sender.signed_headers().iter().for_each(|name| add(&mut places, name, 2));
        }
        for (name, part) in [("svix-id", 2), ("svix-timestamp", 1), ("svix-signature", 0)] {
            add(&mut places, name, part);
        }
        places
    })
}

fn signature(places: &mut Places, sender: &Sender) {
    let name = sender.says("/signature/name").unwrap_or_default();
    match sender.says("/signature/in") {
        Some("header") => add(places, &name.replace('*', "1"), 0),
        Some("query") => places.fields.push(name.to_owned()),
        _ => {}
    }
}

fn add(places: &mut Places, name: &str, part: usize) {
    let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else { return };
    if !places.headers.iter().any(|(n, _)| *n == name) {
        places.headers.push((name, part));
    }
}

fn strings<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::String(text) => found.push(text),
        Value::Array(items) => items.iter().for_each(|v| strings(v, found)),
        Value::Object(members) => members.values().for_each(|v| strings(v, found)),
        _ => {}
    }
}
