//! The validation of an address: Zoom sends `{"event":"endpoint.url_validation"}` with a token, when
//! the address is saved and every three days after, and wants the token and its HMAC.

use hookward_core::crypto::{Encoding, HmacAlgorithm, HmacContext};
use hookward_core::{Reply, Request, Secret, VerifyError};
use http::StatusCode;
use serde::Serialize;
use serde_json::Value;

/// Longer tokens than any that Zoom sends are not signed.
const MAX_TOKEN: usize = 256;

/// The members in the order in which Zoom documents them.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Validated<'a> {
    plain_token: &'a str,
    encrypted_token: String,
}

/// The answer to a proven request, if it is a validation. The token is signed with the secret that
/// proved the request.
pub(crate) fn answer(
    request: &Request,
    secret: Option<&Secret>,
) -> Result<Option<Reply>, VerifyError> {
    let Ok(body) = request.body.json() else { return Ok(None) };
    if body.get("event").and_then(Value::as_str) != Some("endpoint.url_validation") {
        return Ok(None);
    }
    let token = body.pointer("/payload/plainToken").and_then(Value::as_str).filter(|t| is_plain(t));
    let Some(plain_token) = token else {
        return Err(VerifyError::invalid_format(
            "the plain token is not up to 256 letters and digits",
        ));
    };
    let Some(mut mac) =
        secret.and_then(|s| HmacContext::new(HmacAlgorithm::Sha256, s.expose().as_bytes()))
    else {
        return Err(VerifyError::InvalidSignature);
    };
    mac.update(plain_token.as_bytes());
    let encrypted_token = Encoding::Hex.encode(&mac.finish());
    Ok(Some(Reply::json(StatusCode::OK, &Validated { plain_token, encrypted_token })))
}

/// Events are signed with the same secret, as `v0:TIME:BODY`. A token is signed only where it cannot
/// be read as that: the colon, quotes and braces are not among its letters.
fn is_plain(token: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.~+/=".contains(&b);
    (1..=MAX_TOKEN).contains(&token.len()) && token.bytes().all(plain)
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
    fn a_token_comes_back_with_its_hmac() {
        let reply = answer_to(validation(json!("qgg8vlvZRS6UYooatFL8Aw"))).unwrap().unwrap();
        let body: Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!(reply.status.as_u16(), 200);
        assert_eq!(body["plainToken"], "qgg8vlvZRS6UYooatFL8Aw");
        assert_eq!(body["encryptedToken"].as_str().unwrap().len(), 64);
    }

    #[test]
    fn what_could_be_signed_as_an_event_is_refused() {
        let long = "a".repeat(MAX_TOKEN + 1);
        for token in ["v0:1760000000:{}", "{}", "", "a b", "a\"b", "é", &long] {
            assert!(answer_to(validation(json!(token))).is_err(), "{token:?}");
        }
        for token in [json!(7), json!(null), json!({})] {
            assert!(answer_to(validation(token)).is_err());
        }
    }

    #[test]
    fn anything_else_is_an_event() {
        assert_eq!(answer_to(json!({"event": "meeting.started", "payload": {}})), Ok(None));
    }
}
