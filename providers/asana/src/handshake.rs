//! The handshake: the first request of a webhook has `X-Hook-Secret` instead of a signature, and wants
//! it back in a header. It is believed once, while no secret is known: whoever comes later could be anyone.

use hookward_core::crypto::tokens_equal;
use hookward_core::{
    Handshake, HandshakeEffect, Head, Reply, Request, Secret, VerifyCx, VerifyError, echo_token,
};
use http::{HeaderName, HeaderValue, StatusCode};

/// The header of the handshake.
const SECRET: &str = "x-hook-secret";
/// Shorter secrets than any that Asana sends are not taken: they could be guessed.
const LEAST: usize = 16;

/// The secret that a request without a signature hands over.
pub(crate) fn offered(head: &Head) -> Result<Option<&str>, VerifyError> {
    if head.single("x-hook-signature")?.is_some() {
        return Ok(None);
    }
    let Some(secret) = head.single(SECRET)? else { return Ok(None) };
    let secret = echo_token(secret, "the secret handed over")?;
    if secret.len() < LEAST {
        return Err(VerifyError::invalid_format("the secret handed over is too short"));
    }
    Ok(Some(secret))
}

/// Gives it back, and has it kept where none is known yet. The known one again is answered the same
/// way: Asana repeats a handshake whose answer it did not get.
pub(crate) fn answer(offered: &str, cx: &VerifyCx<'_>) -> Result<Handshake, VerifyError> {
    let is = |s: &Secret| tokens_equal(offered.as_bytes(), s.expose().as_bytes());
    let known = cx.secrets.iter().fold(false, |found, (_, secret)| is(secret) || found);
    let effect = match (known, cx.secrets.is_empty()) {
        (true, _) => None,
        (false, true) => Some(HandshakeEffect::KeepSecret(Secret::new(offered))),
        (false, false) => return Err(VerifyError::InvalidSignature),
    };
    let value = HeaderValue::from_str(offered).map_err(|_| {
        VerifyError::invalid_format("the secret handed over cannot stand in a header")
    })?;
    let mut reply = Reply::empty(StatusCode::OK);
    reply.headers.push((HeaderName::from_static(SECRET), value));
    Ok(Handshake { reply, effect })
}

/// The answer to a proven delivery without events, by which Asana asks whether anyone is here.
pub(crate) fn heartbeat(request: &Request) -> Option<Reply> {
    let body = request.body.json().ok()?;
    let empty = match body.get("events") {
        Some(events) => events.as_array().is_some_and(Vec::is_empty),
        None => body.as_object().is_some_and(serde_json::Map::is_empty),
    };
    empty.then(|| Reply::empty(StatusCode::OK))
}

#[cfg(test)]
mod tests {
    use hookward_core::keys::NoKeys;
    use hookward_core::{Body, SecretSet, Timestamp};
    use serde_json::json;

    use super::*;

    const OFFERED: &str = "b537207f20cbfa02357cf448134da559";

    fn answered(known: &[&str]) -> Result<Handshake, VerifyError> {
        let secrets = SecretSet::from_texts(known.iter().copied()).unwrap();
        let now = Timestamp::from_secs(0);
        let active = secrets.active(now);
        let cx =
            VerifyCx { now, secrets: active, tolerance: None, public_url: None, keys: &NoKeys };
        answer(OFFERED, &cx)
    }

    #[test]
    fn the_first_secret_is_kept_the_same_is_repeated_and_another_is_refused() {
        let first = answered(&[]).unwrap();
        assert!(
            matches!(first.effect, Some(HandshakeEffect::KeepSecret(s)) if s.expose() == OFFERED)
        );
        assert_eq!(first.reply.headers[0].1, OFFERED);
        let again = answered(&["old", OFFERED]).unwrap();
        assert!(again.effect.is_none() && again.reply.headers[0].1 == OFFERED);
        assert!(matches!(answered(&["old"]), Err(VerifyError::InvalidSignature)));
    }

    #[test]
    fn only_a_token_of_some_length_without_a_signature_is_a_handshake() {
        let offered_by = |headers: &[(&'static str, &'static str)]| {
            let mut head = Head::default();
            for (name, value) in headers {
                head.headers.append(*name, HeaderValue::from_static(value));
            }
            offered(&head).map(|found| found.is_some()).map_err(|e| e.code())
        };
        assert_eq!(offered_by(&[(SECRET, OFFERED)]), Ok(true));
        assert_eq!(offered_by(&[(SECRET, OFFERED), ("x-hook-signature", "00")]), Ok(false));
        assert_eq!(offered_by(&[]), Ok(false));
        for bad in ["", "short", "<b>aaaaaaaaaaaaaaaaaaaaaaaa</b>"] {
            assert_eq!(offered_by(&[(SECRET, bad)]), Err("INVALID_FORMAT"));
        }
    }

    #[test]
    fn only_a_delivery_without_events_is_a_heartbeat() {
        let is = |body| heartbeat(&Request::new(Head::default(), Body::from_json(body))).is_some();
        assert!(is(json!({"events": []})) && is(json!({})));
        assert!(!is(json!({"events": [{}]})) && !is(json!({"events": {}})) && !is(json!([])));
        assert!(heartbeat(&Request::new(Head::default(), Body::new(""))).is_none());
    }
}
