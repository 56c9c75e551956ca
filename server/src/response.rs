//! Renders every answer that the server sends: replies of the engine, admin errors, and the errors
//! that are written to a socket while there is no HTTP request yet.
//!
//! An error has one form wherever it comes from: a status, `{"error":…,"code":…}` as the body, and
//! its headers ([`Reply::error`]). This module turns it into an axum response or, for the listener
//! and for answers that take the place of hyper's, into the bytes of an HTTP/1.1 response.

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use hookward_core::Reply;
use http::{HeaderMap, HeaderValue, StatusCode, header};

/// Seconds in `Retry-After` for a connection beyond the limit: connections end within the time
/// limits of one request, so there is soon a free one.
const OVERLOADED_RETRY_AFTER_SECS: &str = "5";

/// Converts a reply into an axum response that has the reply's headers and no others.
pub(crate) fn into_response(reply: Reply) -> Response {
    let mut response = Response::new(Body::from(reply.body));
    *response.status_mut() = reply.status;
    *response.headers_mut() = reply.headers.into_iter().collect::<HeaderMap>();
    response
}

/// Renders a reply as an HTTP/1.1 response that closes its connection, for a socket to which hyper
/// does not write.
pub(crate) fn into_http1_bytes(reply: &Reply) -> Bytes {
    let mut bytes = format!("HTTP/1.1 {}\r\n", reply.status).into_bytes();
    for (name, value) in &reply.headers {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    let length = reply.body.len();
    let end = format!("content-length: {length}\r\nconnection: close\r\n\r\n");
    bytes.extend_from_slice(end.as_bytes());
    bytes.extend_from_slice(&reply.body);
    bytes.into()
}

/// The answer to a peer whose request head is not complete in time.
pub(crate) fn request_timeout() -> Reply {
    Reply::error(StatusCode::REQUEST_TIMEOUT, "REQUEST_TIMEOUT", "Request too slow")
}

/// The answer to a connection beyond the listener's limit.
pub(crate) fn overloaded() -> Reply {
    let status = StatusCode::SERVICE_UNAVAILABLE;
    let mut reply = Reply::error(status, "OVERLOADED", "Overloaded, try again");
    let retry_after = HeaderValue::from_static(OVERLOADED_RETRY_AFTER_SECS);
    reply.headers.push((header::RETRY_AFTER, retry_after));
    reply
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_has_the_headers_of_its_reply_and_no_others() {
        assert!(into_response(Reply::empty(StatusCode::OK)).headers().is_empty());
        let text = into_response(Reply::text(StatusCode::OK, "challenge"));
        assert_eq!(text.headers()["content-type"], "text/plain");
    }

    #[test]
    fn an_error_on_a_bare_socket_is_a_complete_http_response() {
        let bytes = into_http1_bytes(&overloaded());
        let expected = "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\n\
                        retry-after: 5\r\ncontent-length: 53\r\nconnection: close\r\n\r\n\
                        {\"error\":\"Overloaded, try again\",\"code\":\"OVERLOADED\"}";
        assert_eq!(std::str::from_utf8(&bytes).unwrap(), expected);
    }
}
