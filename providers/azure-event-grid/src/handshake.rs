//! The two handshakes: a subscription in Event Grid's own schema sends an event with a code that it wants
//! back; one in the CloudEvents schema asks for permission with OPTIONS.

use hookward_core::{Head, Reply, Request, VerifyError, echo_token};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde_json::{Value, json};

/// The header that says what a request is.
pub(crate) const KIND: HeaderName = HeaderName::from_static("aeg-event-type");
/// The host that Event Grid names as its own in a request for permission.
const ORIGIN: &str = "eventgrid.azure.net";
/// The type of the event with the code.
const VALIDATION: &str = "Microsoft.EventGrid.SubscriptionValidationEvent";
/// Larger bodies hold no code.
const MAX_BODY: usize = 16 * 1024;

/// Whether a head says that the request is a validation.
pub(crate) fn is_validation(head: &Head) -> Result<bool, VerifyError> {
    Ok(head.single(KIND.as_str())? == Some("SubscriptionValidation"))
}

/// Whether it is one that is small enough to be read without a proof.
pub(crate) fn may_be_validation(head: &Head) -> Result<bool, VerifyError> {
    let length = head.headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok());
    let small = length.is_none_or(|n| n.parse().is_ok_and(|n: usize| n <= MAX_BODY));
    Ok(small && is_validation(head)?)
}

/// The code of the one event in the body.
pub(crate) fn validation(request: &Request) -> Result<Reply, VerifyError> {
    let wrong = || VerifyError::invalid_format("this is no event of a subscription's validation");
    if request.body.bytes().len() > MAX_BODY {
        return Err(wrong());
    }
    let events = request.body.json().ok().and_then(Value::as_array).ok_or_else(wrong)?;
    let [event] = events.as_slice() else { return Err(wrong()) };
    let text = |pointer| event.pointer(pointer).and_then(Value::as_str);
    let code = text("/data/validationCode").filter(|_| text("/eventType") == Some(VALIDATION));
    let code = echo_token(code.ok_or_else(wrong)?, "the validation code")?;
    Ok(Reply::json(StatusCode::OK, &json!({ "validationResponse": code })))
}

/// Permission for Event Grid to send CloudEvents here, or 405 for anyone else.
pub(crate) fn permission(head: &Head) -> Result<Reply, VerifyError> {
    let origin = head.required("webhook-request-origin")?;
    let asked = head.single("webhook-request-rate")?;
    let post = (header::ALLOW, HeaderValue::from_static("POST"));
    if !origin.eq_ignore_ascii_case(ORIGIN) {
        let mut reply = Reply::empty(StatusCode::METHOD_NOT_ALLOWED);
        reply.headers.push(post);
        return Ok(reply);
    }
    let mut reply = Reply::empty(StatusCode::OK);
    let origin = HeaderName::from_static("webhook-allowed-origin");
    reply.headers.push((origin, HeaderValue::from_static(ORIGIN)));
    if let Some(rate) = asked {
        let plain = (1..=9).contains(&rate.len()) && rate.bytes().all(|b| b.is_ascii_digit());
        let value = HeaderValue::from_str(rate).ok().filter(|_| plain);
        let value =
            value.ok_or_else(|| VerifyError::invalid_format("the rate asked for is no number"))?;
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
    fn the_code_of_the_one_validation_event_comes_back() {
        let event = |code| json!({"eventType": VALIDATION, "data": {"validationCode": code}});
        let right = code_of(json!([event("512d38b6-c7b8")]));
        assert_eq!(right.as_deref(), Some(r#"{"validationResponse":"512d38b6-c7b8"}"#));
        assert_eq!(code_of(json!([event("a"), event("b")])), None);
        assert_eq!(code_of(json!([event("<b>")])), None);
        assert_eq!(code_of(json!([{"eventType": "x", "data": {"validationCode": "a"}}])), None);
        assert_eq!(code_of(json!([])), None);
        assert_eq!(code_of(event("a")), None);
    }
}
