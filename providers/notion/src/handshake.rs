//! The verification of a subscription: one request without a signature whose body is
//! `{"verification_token":…}` and nothing else. The token is trusted only while none is known,
//! because nothing verifies the request.

use hookward_core::crypto::tokens_equal;
use hookward_core::{
    Handshake, HandshakeEffect, Head, Reply, Request, Secret, VerifyCx, VerifyError,
    check_echo_token,
};
use http::{Method, StatusCode, header};
use serde_json::Value;

/// A verification has a smaller body than this.
const MAX_VERIFICATION_BYTES: usize = 4096;
/// Shorter tokens are rejected, because they could be guessed. Notion's are longer.
const MIN_TOKEN_LEN: usize = 16;

/// Returns whether a head may be that of a verification: without a signature and without a large
/// body.
pub(crate) fn may_be_verification(head: &Head) -> bool {
    let length = head.headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok());
    let small = length.is_none_or(|n| n.parse().is_ok_and(|n: usize| n <= MAX_VERIFICATION_BYTES));
    small && head.method == Method::POST && !head.headers.contains_key("x-notion-signature")
}

/// Answers an empty 200, and has the token stored if none is known yet. A known token gets the same
/// reply, because a user can ask Notion to send it again.
pub(crate) fn answer(request: &Request, cx: &VerifyCx<'_>) -> Result<Handshake, VerifyError> {
    let token = token(request)
        .ok_or_else(|| VerifyError::missing_signature("the header X-Notion-Signature"))?;
    let matches = |s: &Secret| tokens_equal(token.as_bytes(), s.expose().as_bytes());
    let known = cx.secrets.iter().fold(false, |found, (_, secret)| matches(secret) || found);
    let effect = match (known, cx.secrets.is_empty()) {
        (true, _) => None,
        (false, true) => Some(HandshakeEffect::KeepSecret(Secret::new(token))),
        (false, false) => {
            return Err(VerifyError::missing_signature("the header X-Notion-Signature"));
        }
    };
    Ok(Handshake::new(Reply::empty(StatusCode::OK)).with_effect(effect))
}

/// Returns the token if the body contains nothing else.
fn token(request: &Request) -> Option<&str> {
    if request.body.bytes().len() > MAX_VERIFICATION_BYTES {
        return None;
    }
    let members = request.body.json().ok()?.as_object().filter(|members| members.len() == 1)?;
    let token = members.get("verification_token").and_then(Value::as_str)?;
    check_echo_token(token, "the token").ok().filter(|token| token.len() >= MIN_TOKEN_LEN)
}

#[cfg(test)]
mod tests {
    use hookward_core::keys::NoKeys;
    use hookward_core::{Body, SecretSet, Timestamp};
    use serde_json::json;

    use super::*;

    const TOKEN: &str = "secret_tMrlL1qK5vuQAh1b6cZGhFChZTSYJlce98V0pYn7yBl";

    fn answered(body: Value, known: &[&str]) -> Result<Handshake, &'static str> {
        let secrets = SecretSet::from_texts(known.iter().copied()).unwrap();
        let now = Timestamp::from_secs(0);
        let active = secrets.active(now);
        let cx = VerifyCx::new(now, active, &NoKeys);
        let request = Request::new(Head::default(), Body::from_json(body));
        answer(&request, &cx).map_err(|e| e.code())
    }

    #[test]
    fn the_first_token_is_stored_and_a_different_one_is_rejected() {
        let body = || json!({ "verification_token": TOKEN });
        let first = answered(body(), &[]).unwrap();
        assert!(
            matches!(first.effect, Some(HandshakeEffect::KeepSecret(s)) if s.expose() == TOKEN)
        );
        assert_eq!((first.reply.status.as_u16(), first.reply.body.len()), (200, 0));
        assert!(answered(body(), &[TOKEN]).unwrap().effect.is_none());
        assert_eq!(answered(body(), &["another"]).unwrap_err(), "MISSING_SIGNATURE");
    }

    #[test]
    fn bodies_other_than_a_single_token_are_rejected() {
        let long = "a".repeat(2000);
        for body in [
            json!({"verification_token": TOKEN, "type": "page.created"}),
            json!({"verification_token": "short"}),
            json!({"verification_token": long}),
            json!({"verification_token": 7}),
            json!({"verification_token": format!("{TOKEN}<b>")}),
            json!({}),
            json!([TOKEN]),
        ] {
            assert_eq!(answered(body, &[]).unwrap_err(), "MISSING_SIGNATURE");
        }
    }

    #[test]
    fn a_head_that_announces_a_large_body_is_not_a_verification() {
        let with = |length: &'static str| {
            let mut head = Head::default().with_method(Method::POST);
            head.headers.insert(header::CONTENT_LENGTH, http::HeaderValue::from_static(length));
            may_be_verification(&head)
        };
        assert!(with("80") && !with("4097") && !with("x"));
        assert!(!may_be_verification(&Head::default()));
    }
}
