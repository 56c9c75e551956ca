//! Who may use the admin port: whoever holds the token or, without a token, programs of this
//! machine. Browser pages of other origins are rejected in both cases, because a browser on an
//! operator's machine can reach the port as well as the operator.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::HttpBody;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hookward_core::crypto::tokens_equal;

use crate::admin::error::AdminError;
use crate::admin::token_attempts;
use crate::shared::Shared;
use crate::telemetry;

/// Passes the requests of operators on and rejects all others with 401 or 403.
pub(crate) async fn require_operator(
    State(shared): State<Arc<Shared>>,
    request: Request,
    next: Next,
) -> Response {
    let reject = |status, message: &str| AdminError::new(status, message).into_response();
    let client = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|c| c.0.ip());
    let headers = request.headers();
    if !is_same_origin(headers) {
        return reject(StatusCode::FORBIDDEN, "requests from other origins are rejected");
    }
    match &shared.engine.config().admin.token {
        Some(token) => {
            if shared.token_attempts.wait_for_turn(client).await.is_err() {
                let mut response = reject(
                    StatusCode::TOO_MANY_REQUESTS,
                    "too many wrong tokens from this address",
                );
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("10"));
                return response;
            }
            let given = bearer_token(headers).unwrap_or_default();
            if !tokens_equal(given.as_bytes(), token.expose().as_bytes()) {
                // Without a token there is nothing guessed, only a page that was opened.
                if !given.is_empty() {
                    let wrong = shared.token_attempts.count_wrong(client);
                    if token_attempts::is_logged(wrong) {
                        telemetry::admin_token_rejected(client, wrong);
                    }
                }
                let mut response = reject(StatusCode::UNAUTHORIZED, "a bearer token is needed");
                let challenge = HeaderValue::from_static("Bearer");
                response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
                return response;
            }
        }
        // DNS rebinding: a name that its owner points at 127.0.0.1 would make a page of theirs
        // same-origin with this port.
        None if !has_local_host(headers) => {
            return reject(
                StatusCode::FORBIDDEN,
                "without a token, the port answers to http://localhost only",
            );
        }
        None => {}
    }
    next.run(request).await
}

/// Rejects calls with a body that is not declared as JSON, with 415. A page of another origin can
/// make a browser post a form, and never JSON without asking first.
pub(crate) async fn require_json(request: Request, next: Next) -> Response {
    let declared = request.headers().get(header::CONTENT_TYPE);
    let is_json = declared.is_some_and(|value| {
        let media_type = value.as_bytes().split(|b| *b == b';').next().unwrap_or_default();
        media_type.trim_ascii().eq_ignore_ascii_case(b"application/json")
    });
    // Without a body there is nothing to declare: `curl -X POST` sends neither.
    let is_empty = declared.is_none() && request.body().is_end_stream();
    if request.method() != Method::POST || is_json || is_empty {
        return next.run(request).await;
    }
    let message = "the body must be JSON, declared by `content-type: application/json`";
    AdminError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message).into_response()
}

fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Whether a request comes from a page of this origin or from no page at all.
fn is_same_origin(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|v: &HeaderValue| v.to_str().ok());
    let Some(origin) = headers.get(header::ORIGIN) else {
        // `same-site` is rejected: another port of this host and a sister domain are the same site.
        // `none` is a person who typed the address; programs send no such header.
        return matches!(
            text(HeaderName::from_static("sec-fetch-site")),
            None | Some("same-origin" | "none")
        );
    };
    let origin = origin.to_str().ok().and_then(|o| o.split_once("://")).map(|(_, host)| host);
    origin.is_some() && origin == text(header::HOST)
}

/// Whether `Host` is `localhost` or a loopback address, with or without a port.
fn has_local_host(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(header::HOST).and_then(|h| h.to_str().ok()) else { return false };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    let ip = name.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    name.eq_ignore_ascii_case("localhost") || ip.is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(list: &[(&'static str, &str)]) -> HeaderMap {
        list.iter().map(|(n, v)| (n.parse().unwrap(), v.parse().unwrap())).collect()
    }

    #[test]
    fn only_localhost_and_loopback_addresses_are_local() {
        for (host, local) in [
            ("localhost:8081", true),
            ("127.0.0.1:8081", true),
            ("[::1]:8081", true),
            ("127.0.0.1", true),
            ("evil.example:8081", false),
            ("localhost.evil.example", false),
        ] {
            assert_eq!(has_local_host(&headers(&[("host", host)])), local, "{host}");
        }
        assert!(!has_local_host(&headers(&[])));
    }

    #[test]
    fn a_page_of_another_origin_is_rejected() {
        assert!(is_same_origin(&headers(&[("host", "localhost:8081")])));
        assert!(is_same_origin(&headers(&[
            ("host", "localhost:8081"),
            ("origin", "http://localhost:8081")
        ])));
        assert!(!is_same_origin(&headers(&[
            ("host", "localhost:8081"),
            ("origin", "https://evil.example")
        ])));
        assert!(!is_same_origin(&headers(&[("host", "localhost:8081"), ("origin", "null")])));
        for (site, ours) in
            [("cross-site", false), ("same-site", false), ("same-origin", true), ("none", true)]
        {
            let given = headers(&[("host", "l"), ("sec-fetch-site", site)]);
            assert_eq!(is_same_origin(&given), ours, "{site}");
        }
    }
}
