//! The handshake of a new webhook: its first request has `X-Hook-Secret` instead of a signature,
//! and the reply must return this header. The secret is trusted only while none is known, because
//! nothing verifies the request (Asana's webhooks guide, "The webhook handshake").

use hookward_core::crypto::tokens_equal;
use hookward_core::{
    Handshake, HandshakeEffect, Head, Reply, Request, Secret, VerifyCx, VerifyError,
    check_echo_token,
};
use http::{HeaderName, HeaderValue, StatusCode};

/// The header that carries the secret, in the request and in the reply.
const SECRET_HEADER: &str = "x-hook-secret";
/// Shorter secrets are rejected, because they could be guessed. Asana's are longer.
const MIN_SECRET_LEN: usize = 16;

/// Returns the secret of a request without a signature; `None` if the request is not a handshake.
pub(crate) fn offered_secret(head: &Head) -> Result<Option<&str>, VerifyError> {
    if head.single("x-hook-signature")?.is_some() {
        return Ok(None);
    }
    let Some(secret) = head.single(SECRET_HEADER)? else { return Ok(None) };
    let secret = check_echo_token(secret, "the secret in X-Hook-Secret")?;
    if secret.len() < MIN_SECRET_LEN {
        return Err(VerifyError::invalid_format("the secret in X-Hook-Secret is too short"));
    }
    Ok(Some(secret))
}

/// Returns the secret in the reply, and has it stored if none is known yet. A known secret gets the
/// same reply, because Asana retries a handshake whose reply it did not receive.
pub(crate) fn answer(offered: &str, cx: &VerifyCx<'_>) -> Result<Handshake, VerifyError> {
    let matches = |s: &Secret| tokens_equal(offered.as_bytes(), s.expose().as_bytes());
    let known = cx.secrets.iter().fold(false, |found, (_, secret)| matches(secret) || found);
    let effect = match (known, cx.secrets.is_empty()) {
        (true, _) => None,
        (false, true) => Some(HandshakeEffect::KeepSecret(Secret::new(offered))),
        (false, false) => return Err(VerifyError::InvalidSignature),
    };
    let value = HeaderValue::from_str(offered).map_err(|_| {
        VerifyError::invalid_format("the secret in X-Hook-Secret is not a header value")
    })?;
    let mut reply = Reply::empty(StatusCode::OK);
    reply.headers.push((HeaderName::from_static(SECRET_HEADER), value));
    Ok(Handshake::new(reply).with_effect(effect))
}

/// The reply to a heartbeat: a verified delivery without events, by which Asana checks the
/// endpoint.
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
        let cx = VerifyCx::new(now, active, &NoKeys);
        answer(OFFERED, &cx)
    }

    #[test]
    fn the_first_secret_is_stored_and_a_different_one_is_rejected() {
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
    fn only_an_unsigned_request_with_a_long_secret_is_a_handshake() {
        let offered_by = |headers: &[(&'static str, &'static str)]| {
            let mut head = Head::default();
            for (name, value) in headers {
                head.headers.append(*name, HeaderValue::from_static(value));
            }
            offered_secret(&head).map(|found| found.is_some()).map_err(|e| e.code())
        };
        assert_eq!(offered_by(&[(SECRET_HEADER, OFFERED)]), Ok(true));
        assert_eq!(offered_by(&[(SECRET_HEADER, OFFERED), ("x-hook-signature", "00")]), Ok(false));
        assert_eq!(offered_by(&[]), Ok(false));
        for bad in ["", "short", "<b>aaaaaaaaaaaaaaaaaaaaaaaa</b>"] {
            assert_eq!(offered_by(&[(SECRET_HEADER, bad)]), Err("INVALID_FORMAT"));
        }
    }

    #[test]
    fn only_a_delivery_without_events_is_a_heartbeat() {
        let is_heartbeat =
            |body| heartbeat(&Request::new(Head::default(), Body::from_json(body))).is_some();
        assert!(is_heartbeat(json!({"events": []})) && is_heartbeat(json!({})));
        assert!(!is_heartbeat(json!({"events": [{}]})));
        assert!(!is_heartbeat(json!({"events": {}})) && !is_heartbeat(json!([])));
        assert!(heartbeat(&Request::new(Head::default(), Body::new(""))).is_none());
    }
}
