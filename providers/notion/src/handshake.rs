//! The verification of a subscription: one request without a signature whose body is
//! `{"verification_token":…}` and nothing else. It is believed once, while no secret is known: whoever
//! comes later could be anyone.

use hookward_core::crypto::tokens_equal;
use hookward_core::{
    Handshake, HandshakeEffect, Head, Reply, Request, Secret, VerifyCx, VerifyError,
    check_echo_token,
};
use http::{Method, StatusCode, header};
use serde_json::Value;

/// Larger bodies are no token.
const MAX_BODY: usize = 4096;
/// Shorter tokens than any that Notion sends are not taken: they could be guessed.
const LEAST: usize = 16;

/// Whether a head can be that of a verification: no signature, and no large body.
pub(crate) fn may_be(head: &Head) -> bool {
    let length = head.headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok());
    let small = length.is_none_or(|n| n.parse().is_ok_and(|n: usize| n <= MAX_BODY));
    small && head.method == Method::POST && !head.headers.contains_key("x-notion-signature")
}

/// An empty 200, and the token kept where none is known yet. The known one again is answered the same
/// way: Notion can be asked to send it once more.
pub(crate) fn answer(request: &Request, cx: &VerifyCx<'_>) -> Result<Handshake, VerifyError> {
    let token = token(request)
        .ok_or_else(|| VerifyError::missing_signature("the header X-Notion-Signature"))?;
    let is = |s: &Secret| tokens_equal(token.as_bytes(), s.expose().as_bytes());
    let known = cx.secrets.iter().fold(false, |found, (_, secret)| is(secret) || found);
    let effect = match (known, cx.secrets.is_empty()) {
        (true, _) => None,
        (false, true) => Some(HandshakeEffect::KeepSecret(Secret::new(token))),
        (false, false) => {
            return Err(VerifyError::missing_signature("the header X-Notion-Signature"));
        }
    };
    Ok(Handshake::new(Reply::empty(StatusCode::OK)).with_effect(effect))
}

/// The token, where the body is nothing else.
fn token(request: &Request) -> Option<&str> {
    if request.body.bytes().len() > MAX_BODY {
        return None;
    }
    let members = request.body.json().ok()?.as_object().filter(|members| members.len() == 1)?;
    let token = members.get("verification_token").and_then(Value::as_str)?;
    check_echo_token(token, "the token").ok().filter(|token| token.len() >= LEAST)
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
    fn the_first_token_is_kept_the_same_is_repeated_and_another_is_refused() {
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
    fn a_body_that_is_more_or_other_than_a_token_is_refused() {
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
    fn an_announced_large_body_is_refused_from_the_head() {
        let with = |length: &'static str| {
            let mut head = Head::default().with_method(Method::POST);
            head.headers.insert(header::CONTENT_LENGTH, http::HeaderValue::from_static(length));
            may_be(&head)
        };
        assert!(with("80") && !with("4097") && !with("x"));
        assert!(!may_be(&Head::default()));
    }
}
