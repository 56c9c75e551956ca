//! Builds the headers of a forwarded request: those of the step's `headers:`, those sent with every
//! event, and the kept headers of the sender.

use std::collections::BTreeMap;

use bytes::Bytes;
use hookward_core::plugin::BuildError;
use hookward_core::{Event, HandlerCx, Secret};
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT};

use crate::SourceHeaders;

/// Headers that the HTTP connection sets, in addition to all that begin with `proxy-`. A configured
/// value could contradict the real message framing and let a proxy read a different request
/// (request smuggling).
const RESERVED_HEADERS: [&str; 10] = [
    "host",
    "connection",
    "keep-alive",
    "transfer-encoding",
    "content-length",
    "te",
    "trailer",
    "upgrade",
    "expect",
    "http2-settings",
];

/// What the names of the sender's headers begin with, unless they are sent unchanged.
const SOURCE_HEADER_PREFIX: &str = "x-hookward-source-header-";

/// Headers by which a proxy vouches for the client. The receiver may trust them from this server,
/// and the sender could have written anything into them.
const PROXY_HEADERS: [&str; 3] = ["forwarded", "x-real-ip", "via"];

/// Parses `headers:`; an error points to the name.
pub(crate) fn configured(headers: &BTreeMap<String, Secret>) -> Result<HeaderMap, BuildError> {
    let mut map = HeaderMap::new();
    for (written, value) in headers {
        let at = format!("/headers/{}", written.replace('~', "~0").replace('/', "~1"));
        let Ok(name) = HeaderName::try_from(written.as_str()) else {
            return Err(BuildError::at(at, format!("`{written}` is not a valid header name")));
        };
        if is_reserved(&name) {
            let message = format!("`{written}` is set by the HTTP connection");
            return Err(BuildError::at(at, message).help("remove it"));
        }
        let Ok(mut value) = HeaderValue::try_from(value.expose()) else {
            let message = format!(
                "the value of `{written}` contains characters that are not allowed in headers"
            );
            return Err(BuildError::at(at, message).help("write it on one line"));
        };
        value.set_sensitive(true);
        if map.insert(name, value).is_some() {
            return Err(BuildError::at(at, format!("`{written}` is set twice")));
        }
    }
    Ok(map)
}

/// Whether the HTTP connection sets this header.
fn is_reserved(name: &HeaderName) -> bool {
    RESERVED_HEADERS.contains(&name.as_str()) || name.as_str().starts_with("proxy-")
}

/// Adds the kept headers of the sender. Headers of the connection, and those that this handler
/// makes itself, are never taken over.
fn add_source_headers(map: &mut HeaderMap, event: &Event, mode: SourceHeaders) {
    for (name, value) in event.headers() {
        // These two have a header of their own in the request.
        if matches!(name.as_str(), "content-type" | "traceparent") {
            continue;
        }
        let prefixed;
        let sent_name = match mode {
            SourceHeaders::None => return,
            SourceHeaders::Prefixed => {
                prefixed = format!("{SOURCE_HEADER_PREFIX}{name}");
                prefixed.as_str()
            }
            SourceHeaders::Unchanged => name.as_str(),
        };
        let Ok(sent_name) = HeaderName::try_from(sent_name) else { continue };
        let Ok(sent_value) = HeaderValue::try_from(value.as_str()) else { continue };
        let claims_a_client = PROXY_HEADERS.contains(&name.as_str())
            || sent_name.as_str().starts_with("x-forwarded-");
        let imitates_ours =
            mode == SourceHeaders::Unchanged && sent_name.as_str().starts_with("x-hookward-");
        if is_reserved(&sent_name)
            || imitates_ours
            || (mode == SourceHeaders::Unchanged && claims_a_client)
            || map.contains_key(&sent_name)
        {
            continue;
        }
        map.insert(sent_name, sent_value);
    }
}

/// Returns the headers of a request. `configured` headers replace default ones with the same name.
pub(crate) fn request_headers(
    event: &Event,
    cx: &HandlerCx,
    media_type: Option<&'static str>,
    source_headers: SourceHeaders,
    configured: &HeaderMap,
) -> HeaderMap {
    let mut map = HeaderMap::new();
    let stored_type = event.header("content-type").and_then(|v| HeaderValue::try_from(v).ok());
    let fallback = HeaderValue::from_static("application/octet-stream");
    let content_type = media_type.map(HeaderValue::from_static).or(stored_type).unwrap_or(fallback);
    let agent = HeaderValue::from_static(concat!("hookward/", env!("CARGO_PKG_VERSION")));
    map.insert(CONTENT_TYPE, content_type);
    map.insert(USER_AGENT, agent);
    let mut put = |name: &'static str, value: &str| {
        map.insert(HeaderName::from_static(name), percent_encode(value));
    };
    put("x-hookward-event-id", &event.id().to_string());
    if let Some(event_type) = event.event_type() {
        put("x-hookward-event-type", event_type);
    }
    put("x-hookward-source", event.source());
    put("x-hookward-attempt", &cx.attempt.to_string());
    put("idempotency-key", &cx.idempotency_key());
    put("traceparent", &traceparent(event));
    // After the headers of this handler, which a sender must not replace, and before those of the
    // step, which replace any other.
    add_source_headers(&mut map, event, source_headers);
    for (name, value) in configured {
        map.insert(name, value.clone());
    }
    map
}

/// Encodes a text of the sender as a header value. All characters except visible ASCII are
/// percent-encoded, and `%` too, so that receivers can decode the value unambiguously.
fn percent_encode(text: &str) -> HeaderValue {
    let mut value = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'!'..=b'~' if byte != b'%' => value.push(char::from(byte)),
            _ => value.push_str(&format!("%{byte:02X}")),
        }
    }
    // Visible ASCII is always a valid header value, so the fallback is never used.
    HeaderValue::from_maybe_shared(Bytes::from(value)).unwrap_or(HeaderValue::from_static(""))
}

/// Continues the sender's trace if it sent a valid one. Otherwise the trace id is the event's id,
/// so that all attempts and routes of an event share a trace.
fn traceparent(event: &Event) -> String {
    let span = fastrand::u64(1..);
    match event.header("traceparent").and_then(trace_of) {
        Some((trace, flags)) => format!("00-{trace}-{span:016x}-{flags}"),
        None => {
            let trace = u128::from_be_bytes(*event.id().as_bytes());
            format!("00-{trace:032x}-{span:016x}-01")
        }
    }
}

/// Returns trace id and flags of a valid W3C `traceparent` of version 00.
fn trace_of(header: &str) -> Option<(&str, &str)> {
    let mut parts = header.split('-');
    let (version, trace, span, flags) =
        (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let hex = |text: &str, len: usize| {
        text.len() == len && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    };
    let is_nonzero = |text: &str| text.bytes().any(|b| b != b'0');
    let valid = version == "00" && hex(trace, 32) && hex(span, 16) && hex(flags, 2);
    (valid && is_nonzero(trace) && is_nonzero(span) && parts.next().is_none())
        .then_some((trace, flags))
}
