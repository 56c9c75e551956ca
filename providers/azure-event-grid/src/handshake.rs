//! The two handshakes. A subscription in Event Grid's own schema sends an event with a code, which
//! the reply must return. A subscription in the CloudEvents schema asks for permission with
//! OPTIONS.

use hookward_core::{Head, Reply, Request, VerifyError, check_echo_token};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde_json::{Value, json};

/// The header that names the kind of a request. Event Grid does not sign it.
pub(crate) const EVENT_TYPE_HEADER: HeaderName = HeaderName::from_static("aeg-event-type");
/// The origin that Event Grid sends in a request for permission.
const EVENT_GRID_ORIGIN: &str = "eventgrid.azure.net";
/// Type of the event that carries the code.
const VALIDATION_EVENT_TYPE: &str = "Microsoft.EventGrid.SubscriptionValidationEvent";
/// A validation is smaller than this many bytes.
const MAX_VALIDATION_BYTES: usize = 16 * 1024;

/// Returns whether a head marks the request as a validation.
pub(crate) fn is_validation(head: &Head) -> Result<bool, VerifyError> {
    Ok(head.single(EVENT_TYPE_HEADER.as_str())? == Some("SubscriptionValidation"))
}

/// Returns whether a head marks the request as a validation that is small enough to be read before
/// it is verified.
pub(crate) fn may_be_validation(head: &Head) -> Result<bool, VerifyError> {
    let length = head.headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok());
    let small = length.is_none_or(|n| n.parse().is_ok_and(|n: usize| n <= MAX_VALIDATION_BYTES));
    Ok(small && is_validation(head)?)
}

/// Returns the reply with the code of the only event in the body.
pub(crate) fn validation(request: &Request) -> Result<Reply, VerifyError> {
    let error = || VerifyError::invalid_format("the body is not a subscription validation event");
    if request.body.bytes().len() > MAX_VALIDATION_BYTES {
        return Err(error());
    }
    let events = request.body.json().ok().and_then(Value::as_array).ok_or_else(error)?;
    let [event] = events.as_slice() else { return Err(error()) };
    let text = |pointer| event.pointer(pointer).and_then(Value::as_str);
    let code =
        text("/data/validationCode").filter(|_| text("/eventType") == Some(VALIDATION_EVENT_TYPE));
    let code = check_echo_token(code.ok_or_else(error)?, "the validation code")?;
    let reply = Reply::json(StatusCode::OK, &json!({ "validationResponse": code }));
    // Not everybody who asks has a secret, so no browser may guess what the code is.
    let nosniff = HeaderValue::from_static("nosniff");
    Ok(reply.with_header(header::X_CONTENT_TYPE_OPTIONS, nosniff))
}

/// Permits Event Grid to send CloudEvents here; any other origin gets 405.
pub(crate) fn permission(head: &Head) -> Result<Reply, VerifyError> {
    let origin = head.required("webhook-request-origin")?;
    let asked = head.single("webhook-request-rate")?;
    let post = (header::ALLOW, HeaderValue::from_static("POST"));
    if !origin.eq_ignore_ascii_case(EVENT_GRID_ORIGIN) {
        let mut reply = Reply::empty(StatusCode::METHOD_NOT_ALLOWED);
        reply.headers.push(post);
        return Ok(reply);
    }
    let mut reply = Reply::empty(StatusCode::OK);
    let origin = HeaderName::from_static("webhook-allowed-origin");
    reply.headers.push((origin, HeaderValue::from_static(EVENT_GRID_ORIGIN)));
    if let Some(rate) = asked {
        let plain = (1..=9).contains(&rate.len()) && rate.bytes().all(|b| b.is_ascii_digit());
        let value = HeaderValue::from_str(rate).ok().filter(|_| plain);
        let value = value.ok_or_else(|| {
            VerifyError::invalid_format("WebHook-Request-Rate is not a number of at most 9 digits")
        })?;
        reply.headers.push((HeaderName::from_static("webhook-allowed-rate"), value));
    }
    reply.headers.push(post);
    Ok(reply)
}

#[cfg(test)]
mod tests {
    use hookward_core::Body;

    use super::*;

    fn code_of(body: Value) -> Option<String> {
        let reply = validation(&Request::new(Head::default(), Body::from_json(body))).ok()?;
        String::from_utf8(reply.body.to_vec()).ok()
    }

    #[test]
    fn the_code_of_a_single_validation_event_is_returned() {
        let event =
            |code| json!({"eventType": VALIDATION_EVENT_TYPE, "data": {"validationCode": code}});
        let right = code_of(json!([event("512d38b6-c7b8")]));
        assert_eq!(right.as_deref(), Some(r#"{"validationResponse":"512d38b6-c7b8"}"#));
        assert_eq!(code_of(json!([event("a"), event("b")])), None);
        assert_eq!(code_of(json!([event("<b>")])), None);
        assert_eq!(code_of(json!([{"eventType": "x", "data": {"validationCode": "a"}}])), None);
        assert_eq!(code_of(json!([])), None);
        assert_eq!(code_of(event("a")), None);
    }
}
