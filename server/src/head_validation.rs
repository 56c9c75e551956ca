//! Rejects request heads that are too long, and heads that a proxy and this server could read as
//! two different requests (request smuggling). Runs for each request on the receiving port and, as
//! a layer, on the admin port.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use hookward_engine::ingest::Rejection;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Uri, Version, header};

use crate::response::into_response;

/// More headers are answered with 431.
const MAX_HEADERS: usize = 64;
/// A longer head is answered with 431: the sum of all names and values and 4 bytes each for `: `
/// and the line break.
const MAX_HEAD_BYTES: usize = 16 * 1024;
/// A longer path with its query is answered with 414.
const MAX_TARGET_BYTES: usize = 4096;

/// Headers of which two readers could each take a different one, so two different values are
/// rejected. The same value twice is harmless and accepted. Repeated signature headers are left to
/// their provider.
const SINGLE_VALUED: [HeaderName; 4] =
    [header::HOST, header::CONTENT_TYPE, header::CONTENT_ENCODING, header::EXPECT];

/// Checks size, target, Host, transfer encoding and ambiguous headers of a request head. A target
/// in absolute form becomes a path, and its authority the Host.
///
/// # Errors
/// 431 or 414 for a size, 400 with the reason for everything else.
pub(crate) fn validate_head(parts: &mut Parts) -> Result<(), Rejection> {
    validate_size(&parts.headers)?;
    validate_target(parts)?;
    // RFC 9112, 3.2: a server must answer 400 to an HTTP/1.1 request without Host or with two.
    let hosts = parts.headers.get_all(header::HOST).iter().count();
    if hosts > 1 || (hosts == 0 && parts.version == Version::HTTP_11) {
        return Err(Rejection::Malformed("A request has one Host header"));
    }
    take_target_authority(parts)?;
    validate_headers(&parts.headers)
}

fn validate_size(headers: &HeaderMap) -> Result<(), Rejection> {
    let size: usize = headers.iter().map(|(n, v)| n.as_str().len() + v.len() + 4).sum();
    if headers.len() > MAX_HEADERS || size > MAX_HEAD_BYTES {
        return Err(Rejection::HeaderTooLarge);
    }
    Ok(())
}

fn validate_headers(headers: &HeaderMap) -> Result<(), Rejection> {
    SINGLE_VALUED.iter().try_for_each(|name| validate_single_value(headers, name))?;
    if !headers.get(header::HOST).is_none_or(|host| host.as_bytes().iter().all(is_host_byte)) {
        return Err(Rejection::Malformed("Host is not a name or an address"));
    }
    // A second or unknown coding is where two readers disagree on the end of the body.
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let chunked = codings.next().is_none_or(|c| c.as_bytes().eq_ignore_ascii_case(b"chunked"));
    if !chunked || codings.next().is_some() {
        return Err(Rejection::Malformed("The only transfer encoding here is chunked"));
    }
    let expect = headers.get(header::EXPECT);
    if expect.is_some_and(|e| !e.as_bytes().eq_ignore_ascii_case(b"100-continue")) {
        return Err(Rejection::Malformed("The only expectation here is 100-continue"));
    }
    if headers.keys().any(|name| has_dashed_double(headers, name)) {
        return Err(Rejection::Malformed("Two headers differ only by `_` and `-`"));
    }
    Ok(())
}

/// The bytes of a registered name, an IP literal and a port (RFC 3986, 3.2.2), without `@`.
fn is_host_byte(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=:[]".contains(byte)
}

/// Accepts a path with a query, alone or after `http://` or `https://` and an authority.
fn validate_target(parts: &Parts) -> Result<(), Rejection> {
    let uri = &parts.uri;
    if uri.path_and_query().is_some_and(|t| t.as_str().len() > MAX_TARGET_BYTES) {
        return Err(Rejection::TargetTooLong);
    }
    let is_absolute = matches!(uri.scheme_str(), Some("http" | "https"));
    if (uri.authority().is_some() && !is_absolute) || !uri.path().starts_with('/') {
        return Err(Rejection::Malformed("A request's target is a path or an http URL"));
    }
    Ok(())
}

/// Puts the authority of a target in absolute form in the place of Host, which must be ignored then
/// (RFC 9112, 3.2.2), so that everything after this sees one host and a path.
fn take_target_authority(parts: &mut Parts) -> Result<(), Rejection> {
    // HTTP/2, in an app that serves it, always names the host in its target.
    if parts.version > Version::HTTP_11 {
        return Ok(());
    }
    let Some(authority) = parts.uri.authority() else { return Ok(()) };
    let invalid = || Rejection::Malformed("A request's target is a path or an http URL");
    let host = HeaderValue::from_str(authority.as_str()).map_err(|_| invalid())?;
    parts.headers.insert(header::HOST, host);
    let target = parts.uri.path_and_query().cloned().ok_or_else(invalid)?;
    parts.uri = Uri::from(target);
    Ok(())
}

fn validate_single_value(headers: &HeaderMap, name: &HeaderName) -> Result<(), Rejection> {
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

/// Whether `name` has a `_` and the same name with `-` is present too. CGI-like servers turn one
/// into the other, so a proxy could check one header and the app behind it read the other.
fn has_dashed_double(headers: &HeaderMap, name: &HeaderName) -> bool {
    let name = name.as_str();
    name.contains('_') && headers.contains_key(name.replace('_', "-"))
}

/// Applies [`validate_head`] to every request of a router.
pub(crate) async fn validate_head_layer(request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    match validate_head(&mut parts) {
        Ok(()) => next.run(Request::from_parts(parts, body)).await,
        Err(rejection) => into_response(rejection.reply()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Headers<'a> = &'a [(&'a str, &'a [u8])];

    /// The status with which a POST of this head is rejected.
    fn rejected_with(target: &str, headers: Headers<'_>) -> Option<u16> {
        let mut request = http::Request::builder().method("POST").uri(target);
        for (name, value) in headers {
            request = request.header(*name, http::HeaderValue::from_bytes(value).unwrap());
        }
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        validate_head(&mut parts).err().map(|rejection| rejection.status().as_u16())
    }

    #[test]
    fn ambiguous_heads_are_rejected() {
        let host: (&str, &[u8]) = ("host", b"a");
        assert_eq!(rejected_with("/webhooks/a?b=c", &[host]), None);
        let utf8: &[u8] = "text/plain; x=\u{e9}".as_bytes();
        let cases: &[(&str, Headers<'_>, Option<u16>)] = &[
            ("/", &[], Some(400)),
            ("/", &[host, ("host", b"b")], Some(400)),
            ("/", &[("host", b"a\xff")], Some(400)),
            ("http://a/webhooks/a", &[host], None),
            ("HTTPS://b:8080/webhooks/a?c", &[host], None),
            ("http://a/webhooks/a", &[], Some(400)),
            ("http://u@a/webhooks/a", &[host], Some(400)),
            ("ftp://a/webhooks/a", &[host], Some(400)),
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
            assert_eq!(rejected_with(target, headers), *expected, "{target} {headers:?}");
        }
    }

    #[test]
    fn a_target_in_absolute_form_becomes_a_path_and_its_host() {
        for (target, path, host) in [
            ("http://b/webhooks/a?c=d", "/webhooks/a?c=d", "b"),
            ("https://b:8443", "/", "b:8443"),
            ("http://[::1]:80/x", "/x", "[::1]:80"),
            ("/webhooks/a", "/webhooks/a", "a"),
        ] {
            let request =
                http::Request::builder().uri(target).header("host", "a").body(()).unwrap();
            let (mut parts, ()) = request.into_parts();
            validate_head(&mut parts).unwrap();
            assert_eq!(parts.uri.to_string(), path);
            assert_eq!(parts.headers["host"], host);
        }
    }

    #[test]
    fn long_targets_get_414_and_long_heads_431() {
        let long = format!("/{}", "a".repeat(MAX_TARGET_BYTES));
        assert_eq!(rejected_with(&long, &[("host", b"a")]), Some(414));
        let value = vec![b'a'; MAX_HEAD_BYTES];
        assert_eq!(rejected_with("/", &[("host", b"a"), ("x", &value)]), Some(431));
        let names: Vec<String> = (0..MAX_HEADERS).map(|n| format!("x-{n}")).collect();
        let mut headers: Vec<(&str, &[u8])> = vec![("host", b"a")];
        headers.extend(names.iter().map(|name| (name.as_str(), b"1".as_slice())));
        assert_eq!(rejected_with("/", &headers), Some(431));
        headers.pop();
        assert_eq!(rejected_with("/", &headers), None);
    }
}
