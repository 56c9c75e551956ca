//! What kind of message it is. Twitch says so in a header, which it does not sign; so it is read from
//! the body, which it does: a challenge, an event, or neither and a subscription that has ended.

use hookward_core::{Body, Reply, Request, VerifyError, check_echo_token};
use http::StatusCode;
use serde_json::Value;

/// The answer to a proven request, if it is the challenge of a new subscription.
pub(crate) fn answer(request: &Request) -> Result<Option<Reply>, VerifyError> {
    let Ok(body) = request.body.json() else { return Ok(None) };
    let Some(challenge) = body.get("challenge").filter(|_| !has_event(body)) else {
        return Ok(None);
    };
    let challenge = check_echo_token(challenge.as_str().unwrap_or_default(), "the challenge")?;
    Ok(Some(Reply::text(StatusCode::OK, challenge.to_owned())))
}

/// Whether a proven body says that a subscription has ended: a status other than `enabled`, and no event.
pub(crate) fn is_revocation(body: &Body) -> bool {
    let Ok(body) = body.json() else { return false };
    let status = body.pointer("/subscription/status").and_then(Value::as_str);
    !has_event(body) && status.is_some_and(|status| status != "enabled")
}

/// Some subscriptions send several at once.
fn has_event(body: &Value) -> bool {
    body.get("event").is_some() || body.get("events").is_some()
}

#[cfg(test)]
mod tests {
    use hookward_core::Head;
    use serde_json::json;

    use super::*;

    fn answer_to(body: Value) -> Result<Option<Reply>, VerifyError> {
        answer(&Request::new(Head::default(), Body::from_json(body)))
    }

    #[test]
    fn a_challenge_comes_back_as_plain_text_and_nothing_else_does() {
        let reply = answer_to(json!({"challenge": "pogchamp-kappa", "subscription": {}}));
        let reply = reply.unwrap().unwrap();
        assert_eq!((reply.status.as_u16(), reply.body.as_ref()), (200, &b"pogchamp-kappa"[..]));
        assert_eq!(answer_to(json!({"challenge": "x", "event": {}})), Ok(None));
        assert_eq!(answer_to(json!({"subscription": {}, "event": {}})), Ok(None));
        for odd in [json!({"challenge": "<b>"}), json!({"challenge": 7}), json!({"challenge": ""})]
        {
            assert!(answer_to(odd).is_err());
        }
    }

    #[test]
    fn a_subscription_that_ended_is_a_revocation() {
        let is = |body: Value| is_revocation(&Body::from_json(body));
        assert!(is(json!({"subscription": {"status": "authorization_revoked", "type": "x"}})));
        assert!(!is(json!({"subscription": {"status": "enabled", "type": "x"}})));
        assert!(!is(json!({"subscription": {"status": "user_removed"}, "event": {}})));
        assert!(!is(json!({"subscription": {"type": "x"}, "events": []})));
        assert!(!is(json!({"subscription": {"type": "x"}})));
    }
}
