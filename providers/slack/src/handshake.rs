//! The set-up handshakes. Slack sends `{"type":"url_verification","challenge":…}` when a request URL
//! is saved, and the reply must return the challenge. It also sends `ssl_check=1` as a form to the
//! URL of a slash command, from time to time and without a signature, to see whether the
//! certificate is valid (<https://docs.slack.dev/interactivity/implementing-slash-commands>).

use hookward_core::scheme::form_value;
use hookward_core::{Head, Reply, Request, VerifyError, unsigned_probe_body};
use http::{StatusCode, header};
use serde_json::Value;

use crate::SIGNATURE_HEADER;

/// Maximum length of a returned challenge. Slack's are shorter.
const MAX_CHALLENGE_LEN: usize = 1024;

/// Whether the media type is that of a form.
pub(crate) fn is_form(head: &Head) -> bool {
    let value = head.headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok());
    let essence = value.and_then(|v| v.split(';').next()).unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

/// Whether a request is the check of the certificate without a signature: a small form with
/// `ssl_check=1` and without any field of a command. It needs no proof, because it has no effect:
/// its answer is empty.
pub(crate) fn is_unsigned_ssl_check(request: &Request) -> bool {
    let body = unsigned_probe_body(request, SIGNATURE_HEADER);
    is_form(&request.head) && body.is_some_and(is_ssl_check)
}

fn is_ssl_check(form: &[u8]) -> bool {
    let field = |name| form_value(form, name).ok().flatten();
    field("ssl_check").as_deref() == Some("1")
        && field("command").is_none()
        && field("payload").is_none()
}

/// Returns the reply to a verified request if it is a handshake.
pub(crate) fn answer(request: &Request) -> Result<Option<Reply>, VerifyError> {
    if is_form(&request.head) && is_ssl_check(request.body.bytes()) {
        return Ok(Some(Reply::empty(StatusCode::OK)));
    }
    if request.body.is_form() {
        return Ok(None);
    }
    let Ok(body) = request.body.json() else { return Ok(None) };
    if body.get("type").and_then(Value::as_str) != Some("url_verification") {
        return Ok(None);
    }
    let challenge = body.get("challenge").and_then(Value::as_str).filter(|text| {
        (1..=MAX_CHALLENGE_LEN).contains(&text.len())
            && text.bytes().all(|b| (b' '..=b'~').contains(&b))
    });
    let Some(challenge) = challenge else {
        return Err(VerifyError::invalid_format(
            "the challenge is not up to 1 KiB of printable ASCII",
        ));
    };
    Ok(Some(Reply::text(StatusCode::OK, challenge.to_owned())))
}

#[cfg(test)]
mod tests {
    use hookward_core::{Body, Head};
    use serde_json::json;

    use super::*;

    fn answer_to(body: Value) -> Result<Option<Reply>, VerifyError> {
        answer(&Request::new(Head::default(), Body::from_json(body)))
    }

    #[test]
    fn a_challenge_is_returned_as_plain_text() {
        let body = json!({"type": "url_verification", "challenge": "3eZbrw1aBm2r"});
        let reply = answer_to(body).unwrap().unwrap();
        assert_eq!((reply.status.as_u16(), reply.body.as_ref()), (200, &b"3eZbrw1aBm2r"[..]));
        assert_eq!(reply, Reply::text(StatusCode::OK, "3eZbrw1aBm2r"));
    }

    #[test]
    fn a_challenge_that_is_not_printable_ascii_is_rejected() {
        let long = "a".repeat(MAX_CHALLENGE_LEN + 1);
        for challenge in [json!(""), json!(7), json!(null), json!("é"), json!("a\nb"), json!(long)]
        {
            let body = json!({"type": "url_verification", "challenge": challenge});
            assert!(matches!(answer_to(body), Err(VerifyError::InvalidFormat { .. })));
        }
    }

    #[test]
    fn other_bodies_are_not_handshakes() {
        assert_eq!(answer_to(json!({"type": "event_callback", "challenge": "x"})), Ok(None));
        assert_eq!(answer(&Request::new(Head::default(), Body::new("command=x"))), Ok(None));
    }
}
