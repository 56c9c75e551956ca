//! The set-up handshake: Slack sends `{"type":"url_verification","challenge":…}` when a request URL
//! is saved, and the reply must return the challenge.

use hookward_core::{Reply, Request, VerifyError};
use http::{HeaderValue, StatusCode, header};
use serde_json::Value;

/// Maximum length of a returned challenge. Slack's are shorter.
const MAX_CHALLENGE_LEN: usize = 1024;

/// Returns the reply to a verified request if it is a handshake.
pub(crate) fn answer(request: &Request) -> Result<Option<Reply>, VerifyError> {
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
    let text = HeaderValue::from_static("text/plain");
    let reply = Reply::empty(StatusCode::OK).with_header(header::CONTENT_TYPE, text);
    Ok(Some(reply.with_body(challenge.to_owned())))
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
        assert_eq!(reply.headers, [(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"))]);
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
