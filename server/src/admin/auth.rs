//! Who may use the admin port: whoever holds the token; without one, this machine alone. Pages of
//! other origins may not, whatever browser they run in.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hookward_core::crypto::tokens_equal;

use crate::hooks::Shared;

pub(crate) async fn guard(
    State(shared): State<Arc<Shared>>,
    request: Request,
    next: Next,
) -> Response {
    let refuse = |status: StatusCode, error: &str| {
        (status, axum::Json(serde_json::json!({"error": error}))).into_response()
    };
    let headers = request.headers();
    if !same_origin(headers) {
        return refuse(StatusCode::FORBIDDEN, "requests of other origins are refused");
    }
    match &shared.engine.config().admin.token {
        Some(token) => {
            let given = bearer(headers).unwrap_or_default();
            if !tokens_equal(given.as_bytes(), token.expose().as_bytes()) {
                let mut response = refuse(StatusCode::UNAUTHORIZED, "a bearer token is needed");
                let challenge = axum::http::HeaderValue::from_static("Bearer");
                response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
                return response;
            }
        }
        // A name that someone's DNS points at this machine must not make a browser's page ours.
        None if !local_host(headers) => {
            return refuse(
                StatusCode::FORBIDDEN,
                "without a token, only http://localhost may be used",
            );
        }
        None => {}
    }
    next.run(request).await
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn same_origin(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|v: &axum::http::HeaderValue| v.to_str().ok());
    let Some(origin) = headers.get(header::ORIGIN) else {
        // Another port or a sister domain is the same site, and not us. `none`: typed by a person.
        return matches!(
            text(axum::http::HeaderName::from_static("sec-fetch-site")),
            None | Some("same-origin" | "none")
        );
    };
    let origin = origin.to_str().ok().and_then(|o| o.split_once("://")).map(|(_, host)| host);
    origin.is_some() && origin == text(header::HOST)
}

fn local_host(headers: &HeaderMap) -> bool {
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
    fn only_names_of_this_machine_are_local() {
        for (host, local) in [
            ("localhost:8081", true),
            ("127.0.0.1:8081", true),
            ("[::1]:8081", true),
            ("127.0.0.1", true),
            ("evil.example:8081", false),
            ("localhost.evil.example", false),
        ] {
            assert_eq!(local_host(&headers(&[("host", host)])), local, "{host}");
        }
        assert!(!local_host(&headers(&[])));
    }

    #[test]
    fn a_page_of_another_origin_is_refused() {
        assert!(same_origin(&headers(&[("host", "localhost:8081")])));
        assert!(same_origin(&headers(&[
            ("host", "localhost:8081"),
            ("origin", "http://localhost:8081")
        ])));
        assert!(!same_origin(&headers(&[
            ("host", "localhost:8081"),
            ("origin", "https://evil.example")
        ])));
        assert!(!same_origin(&headers(&[("host", "localhost:8081"), ("origin", "null")])));
        for (site, ours) in
            [("cross-site", false), ("same-site", false), ("same-origin", true), ("none", true)]
        {
            let given = headers(&[("host", "l"), ("sec-fetch-site", site)]);
            assert_eq!(same_origin(&given), ours, "{site}");
        }
    }
}
