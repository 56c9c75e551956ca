//! Determines the kind of a message: a challenge, an event, or a revocation. Twitch names the kind
//! in a header, which it does not sign, so it is derived from the signed body.

use hookward_core::{Body, Reply, Request, VerifyError, check_echo_token};
use http::StatusCode;
use serde_json::Value;

/// Returns the reply to a verified request if it is the challenge of a new subscription.
pub(crate) fn answer(request: &Request) -> Result<Option<Reply>, VerifyError> {
    let Ok(body) = request.body.json() else { return Ok(None) };
    let Some(challenge) = body.get("challenge").filter(|_| !has_event(body)) else {
        return Ok(None);
    };
    let challenge = check_echo_token(challenge.as_str().unwrap_or_default(), "the challenge")?;
    Ok(Some(Reply::text(StatusCode::OK, challenge.to_owned())))
}

/// Returns whether a verified body reports the end of a subscription: a status other than
/// `enabled`, and no event.
pub(crate) fn is_revocation(body: &Body) -> bool {
    let Ok(body) = body.json() else { return false };
    let status = body.pointer("/subscription/status").and_then(Value::as_str);
    !has_event(body) && status.is_some_and(|status| status != "enabled")
}

/// Some subscriptions send several events in one message, in `events`.
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
    fn only_a_plain_challenge_is_returned_as_plain_text() {
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
    fn a_status_other_than_enabled_without_event_is_a_revocation() {
        let revoked = |body: Value| is_revocation(&Body::from_json(body));
        assert!(revoked(json!({"subscription": {"status": "authorization_revoked", "type": "x"}})));
        assert!(!revoked(json!({"subscription": {"status": "enabled", "type": "x"}})));
        assert!(!revoked(json!({"subscription": {"status": "user_removed"}, "event": {}})));
        assert!(!revoked(json!({"subscription": {"type": "x"}, "events": []})));
        assert!(!revoked(json!({"subscription": {"type": "x"}})));
    }
}
