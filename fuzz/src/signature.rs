//! Target `signature`: any bytes in every place where a provider reads a signature.

use std::sync::OnceLock;

use hookward_core::{Body, Head, Request, Verification};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::Value;

use super::input::lines;
use super::senders::{self, Sender};

/// The places of signatures: headers with the line of the input that goes there, and query fields.
struct SignaturePlaces {
    headers: Vec<(HeaderName, usize)>,
    fields: Vec<String>,
}

/// Lines: the signature, the time, the id, then the body. No request may be accepted, except with a
/// token, and a request that `precheck` rejects must be rejected with the same error by `verify`.
pub fn run(data: &[u8]) {
    let parts: [&[u8]; 4] = lines(data);
    let Some(request) = request(&parts) else { return };
    for sender in senders::all() {
        let early = sender.provider.precheck(&request.head);
        match sender.verify(&request) {
            Ok(Verification::Genuine { .. }) => {
                // The fuzzer may find a token, because it is a constant of this program.
                let secret = sender.secret.as_bytes();
                let given = || data.windows(secret.len()).any(|w| w == secret);
                let token = sender.scheme.is_none() || (sender.uses_token() && given());
                assert!(
                    token || !sender.descriptor.needs_secret,
                    "{} accepts a signature that the fuzzer made",
                    sender.name
                );
                assert_eq!(early, Ok(()), "{}", sender.name);
            }
            Ok(_) => {}
            Err(error) => {
                let shown = error.to_string();
                assert!(!shown.contains(&sender.secret), "{}: {shown}", sender.name);
                if let Err(early) = early {
                    assert_eq!(early, error, "{}: precheck and verify differ", sender.name);
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
        // A carriage return makes two headers of one name.
        for value in parts.get(*part)?.split(|b| *b == b'\r').take(3) {
            headers.append(name, HeaderValue::from_bytes(value).ok()?);
        }
    }
    let query = String::from_utf8_lossy(parts[0]);
    let query: Vec<String> = places.fields.iter().map(|f| format!("{f}={query}")).collect();
    let target = format!("/webhooks/x?{}", query.join("&"));
    let head = Head::new(Method::POST, target, headers);
    Some(Request::new(head, Body::new(parts[3].to_vec())))
}

fn places() -> &'static SignaturePlaces {
    static PLACES: OnceLock<SignaturePlaces> = OnceLock::new();
    PLACES.get_or_init(|| {
        let mut places = SignaturePlaces { headers: Vec::new(), fields: Vec::new() };
        for sender in senders::all() {
            let Some(scheme) = &sender.scheme else { continue };
            add_signature(&mut places, sender);
            let mut texts = Vec::new();
            collect_texts(scheme, &mut texts);
            for name in texts.iter().filter_map(|t| t.strip_prefix("header:")) {
                let time = sender.scheme_text("/timestamp/from") == Some(&format!("header:{name}"));
                add_header(&mut places, name, if time { 1 } else { 2 });
            }
            sender.signed_headers().iter().for_each(|name| add_header(&mut places, name, 2));
        }
        for (name, part) in [("svix-id", 2), ("svix-timestamp", 1), ("svix-signature", 0)] {
            add_header(&mut places, name, part);
        }
        places
    })
}

/// Adds the place of a sender's signature.
fn add_signature(places: &mut SignaturePlaces, sender: &Sender) {
    let name = sender.scheme_text("/signature/name").unwrap_or_default();
    match sender.scheme_text("/signature/in") {
        Some("header") => add_header(places, &name.replace('*', "1"), 0),
        Some("query") => places.fields.push(name.to_owned()),
        _ => {}
    }
}

/// Adds a header that gets this line of the input.
fn add_header(places: &mut SignaturePlaces, name: &str, part: usize) {
    let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else { return };
    if !places.headers.iter().any(|(n, _)| *n == name) {
        places.headers.push((name, part));
    }
}

/// Collects all texts of a JSON value.
fn collect_texts<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::String(text) => found.push(text),
        Value::Array(items) => items.iter().for_each(|v| collect_texts(v, found)),
        Value::Object(members) => members.values().for_each(|v| collect_texts(v, found)),
        _ => {}
    }
}
