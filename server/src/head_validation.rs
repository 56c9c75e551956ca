//! What no sender of ours does and an attacker might: heads that are too long, and heads that two
//! readers could take for two different requests. Asked for each request on the receiving port and,
//! as a layer, on the admin port.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use hookward_engine::ingest::Rejection;
use http::request::Parts;
use http::{HeaderMap, HeaderName, Version, header};

/// More headers, or a longer head, are answered with 431.
const MAX_HEADERS: usize = 64;
const MAX_HEAD: usize = 16 * 1024;
/// The longest target.
const MAX_TARGET: usize = 4096;

/// Headers that mean one thing: a second, different value would be read by one and not by another.
/// The same value twice is one. Those of signatures are their providers' affair.
const SINGLE: [HeaderName; 4] =
    [header::HOST, header::CONTENT_TYPE, header::CONTENT_ENCODING, header::EXPECT];

/// Whether this head is one that we read.
pub(crate) fn well_formed(parts: &Parts) -> Result<(), Rejection> {
    let headers = &parts.headers;
    let size: usize = headers.iter().map(|(n, v)| n.as_str().len() + v.len() + 4).sum();
    if headers.len() > MAX_HEADERS || size > MAX_HEAD {
        return Err(Rejection::HeaderTooLarge);
    }
    target(parts)?;
    let hosts = headers.get_all(header::HOST).iter().count();
    if hosts > 1 || (hosts == 0 && parts.version == Version::HTTP_11) {
        return Err(Rejection::Malformed("A request has one Host header"));
    }
    SINGLE.iter().try_for_each(|name| single(headers, name))?;
    if !headers.get(header::HOST).is_none_or(|host| host.as_bytes().iter().all(of_a_host)) {
        return Err(Rejection::Malformed("Host is no name or address"));
    }
    let mut coded = headers.get_all(header::TRANSFER_ENCODING).iter();
    let plain = coded.next().is_none_or(|c| c.as_bytes().eq_ignore_ascii_case(b"chunked"));
    if !plain || coded.next().is_some() {
        return Err(Rejection::Malformed("Nothing but chunked is a transfer encoding here"));
    }
    let expected = headers.get(header::EXPECT);
    if expected.is_some_and(|e| !e.as_bytes().eq_ignore_ascii_case(b"100-continue")) {
        return Err(Rejection::Malformed("Nothing but 100-continue may be expected"));
    }
    if headers.keys().any(|name| shadows(headers, name)) {
        return Err(Rejection::Malformed("Two headers differ only by `_` and `-`"));
    }
    Ok(())
}

/// What a name, an address, and a port are written with.
fn of_a_host(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=:[]".contains(byte)
}

/// A path of ours: a target with a host in it is for proxies, and whose host would count?
fn target(parts: &Parts) -> Result<(), Rejection> {
    let uri = &parts.uri;
    if uri.path_and_query().is_some_and(|t| t.as_str().len() > MAX_TARGET) {
        return Err(Rejection::TargetTooLong);
    }
    // HTTP/2, in an app that serves it, always names the host in its target.
    let elsewhere = parts.version <= Version::HTTP_11 && uri.authority().is_some();
    if elsewhere || !uri.path().starts_with('/') {
        return Err(Rejection::Malformed("A request's target is a path"));
    }
    Ok(())
}

fn single(headers: &HeaderMap, name: &HeaderName) -> Result<(), Rejection> {
    let mut values = headers.get_all(name).iter();
    let Some(first) = values.next() else { return Ok(()) };
    if values.any(|other| other != first) {
        return Err(Rejection::Malformed("A header that has one value has two"));
    }
    if !first.as_bytes().iter().all(|b| matches!(b, b'\t' | b' '..=b'~')) {
        return Err(Rejection::Malformed("A header has bytes that are not ASCII"));
    }
    Ok(())
}

/// Proxies and servers that turn `_` into `-` or back would read one for the other.
fn shadows(headers: &HeaderMap, name: &HeaderName) -> bool {
    let name = name.as_str();
    name.contains('_') && headers.contains_key(name.replace('_', "-"))
}

/// The same for a router's every page.
pub(crate) async fn layer(request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    match well_formed(&parts) {
        Ok(()) => next.run(Request::from_parts(parts, body)).await,
        Err(refusal) => crate::ingress::into_response(refusal.reply()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Headers<'a> = &'a [(&'a str, &'a [u8])];

    fn judged(target: &str, headers: Headers<'_>) -> Option<u16> {
        let mut request = http::Request::builder().method("POST").uri(target);
        for (name, value) in headers {
            request = request.header(*name, http::HeaderValue::from_bytes(value).unwrap());
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        well_formed(&parts).err().map(|refusal| refusal.status().as_u16())
    }

    #[test]
    fn heads_that_two_readers_could_take_for_two_things_are_refused() {
        let host: (&str, &[u8]) = ("host", b"a");
        assert_eq!(judged("/webhooks/a?b=c", &[host]), None);
        let utf8: &[u8] = "text/plain; x=\u{e9}".as_bytes();
        let cases: &[(&str, Headers<'_>, Option<u16>)] = &[
            ("/", &[], Some(400)),
            ("/", &[host, ("host", b"b")], Some(400)),
            ("/", &[("host", b"a\xff")], Some(400)),
            ("http://a/webhooks/a", &[host], Some(400)),
            ("a:443", &[host], Some(400)),
            ("*", &[host], Some(400)),
            ("/", &[host, ("content-type", b"a/b"), ("content-type", b"c/d")], Some(400)),
            ("/", &[host, ("content-type", b"a/b"), ("content-type", b"a/b")], None),
            ("/", &[host, ("content-type", utf8)], Some(400)),
            ("/", &[host, ("content-encoding", b"gzip"), ("content-encoding", b"br")], Some(400)),
            ("/", &[host, ("expect", b"100-Continue")], None),
            ("/", &[host, ("expect", b"200-ok")], Some(400)),
            ("/", &[("host", b"[::1]:8080")], None),
            ("/", &[("host", b"")], None),
            ("/", &[("host", b"a b")], Some(400)),
            ("/", &[("host", b"a/b")], Some(400)),
            ("/", &[("host", b"u@a")], Some(400)),
            ("/", &[host, ("transfer-encoding", b"Chunked")], None),
            ("/", &[host, ("transfer-encoding", b"gzip, chunked")], Some(400)),
            (
                "/",
                &[host, ("transfer-encoding", b"chunked"), ("transfer-encoding", b"chunked")],
                Some(400),
            ),
            ("/", &[host, ("x_a", b"1"), ("x-a", b"2")], Some(400)),
            ("/", &[host, ("x_a", b"1")], None),
            ("/", &[host, ("x-note", b"caf\xe9")], None),
        ];
        for (target, headers, expected) in cases {
            assert_eq!(judged(target, headers), *expected, "{target} {headers:?}");
        }
    }

    #[test]
    fn long_targets_and_heads_have_their_own_answers() {
        let long = format!("/{}", "a".repeat(MAX_TARGET));
        assert_eq!(judged(&long, &[("host", b"a")]), Some(414));
        let value = vec![b'a'; MAX_HEAD];
        assert_eq!(judged("/", &[("host", b"a"), ("x", &value)]), Some(431));
        let names: Vec<String> = (0..MAX_HEADERS).map(|n| format!("x-{n}")).collect();
        let mut headers: Vec<(&str, &[u8])> = vec![("host", b"a")];
        headers.extend(names.iter().map(|name| (name.as_str(), b"1".as_slice())));
        assert_eq!(judged("/", &headers), Some(431));
        headers.pop();
        assert_eq!(judged("/", &headers), None);
    }
}
