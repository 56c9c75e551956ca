//! The validation of an endpoint: Zoom sends `{"event":"endpoint.url_validation"}` with a token
//! when the URL is saved, and every 72 hours after that. The reply must return the token and its
//! HMAC.

use hookward_core::crypto::{Encoding, HmacAlgorithm, HmacContext};
use hookward_core::{Reply, Request, Secret, VerifyError};
use http::StatusCode;
use serde::Serialize;
use serde_json::Value;

/// Maximum length of a token that is signed. Zoom's are shorter.
const MAX_TOKEN_LEN: usize = 256;

/// Body of the reply, with the members in the order in which Zoom documents them.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ValidationReply<'a> {
    plain_token: &'a str,
    encrypted_token: String,
}

/// Returns the reply to a verified request if it is a validation. The token is signed with the
/// secret that verified the request.
pub(crate) fn answer(
    request: &Request,
    secret: Option<&Secret>,
) -> Result<Option<Reply>, VerifyError> {
    let Ok(body) = request.body.json() else { return Ok(None) };
    if body.get("event").and_then(Value::as_str) != Some("endpoint.url_validation") {
        return Ok(None);
    }
    let token =
        body.pointer("/payload/plainToken").and_then(Value::as_str).filter(|t| is_signable(t));
    let Some(plain_token) = token else {
        return Err(VerifyError::invalid_format(
            "plainToken is not up to 256 letters, digits and -_.~+/=",
        ));
    };
    let Some(mut mac) =
        secret.and_then(|s| HmacContext::new(HmacAlgorithm::Sha256, s.expose().as_bytes()))
    else {
        return Err(VerifyError::InvalidSignature);
    };
    mac.update(plain_token.as_bytes());
    let encrypted_token = Encoding::Hex.encode(&mac.finish());
    Ok(Some(Reply::json(StatusCode::OK, &ValidationReply { plain_token, encrypted_token })))
}

/// Returns whether a token may be signed. Events are signed with the same secret, as
/// `v0:TIME:BODY`, so a token that could be read as an event must not be signed: colons, quotes and
/// braces are not allowed.
fn is_signable(token: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.~+/=".contains(&b);
    (1..=MAX_TOKEN_LEN).contains(&token.len()) && token.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use hookward_core::{Body, Head};
    use serde_json::json;

    use super::*;

    fn answer_to(body: Value) -> Result<Option<Reply>, VerifyError> {
        let request = Request::new(Head::default(), Body::from_json(body));
        answer(&request, Some(&Secret::new("hush")))
    }

    fn validation(token: Value) -> Value {
        json!({"event": "endpoint.url_validation", "payload": {"plainToken": token}})
    }

    #[test]
    fn a_token_is_returned_with_its_hmac() {
        let reply = answer_to(validation(json!("qgg8vlvZRS6UYooatFL8Aw"))).unwrap().unwrap();
        let body: Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!(reply.status.as_u16(), 200);
        assert_eq!(body["plainToken"], "qgg8vlvZRS6UYooatFL8Aw");
        assert_eq!(body["encryptedToken"].as_str().unwrap().len(), 64);
    }

    #[test]
    fn a_token_that_could_be_a_signed_event_is_rejected() {
        let long = "a".repeat(MAX_TOKEN_LEN + 1);
        for token in ["v0:1760000000:{}", "{}", "", "a b", "a\"b", "é", &long] {
            assert!(answer_to(validation(json!(token))).is_err(), "{token:?}");
        }
        for token in [json!(7), json!(null), json!({})] {
            assert!(answer_to(validation(token)).is_err());
        }
    }

    #[test]
    fn other_events_are_not_validations() {
        assert_eq!(answer_to(json!({"event": "meeting.started", "payload": {}})), Ok(None));
    }
}
