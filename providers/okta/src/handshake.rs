//! The verification of an endpoint: the only GET that Okta sends, with a challenge in a header. The
//! request is not signed, so the returned challenge is limited in length and characters.

use hookward_core::{Head, Reply, VerifyError, check_echo_token};
use http::{HeaderValue, StatusCode, header};
use serde_json::json;

/// The header that carries the challenge.
const CHALLENGE_HEADER: &str = "x-okta-verification-challenge";

/// Returns a reply with the challenge as JSON.
pub(crate) fn answer(head: &Head) -> Result<Reply, VerifyError> {
    let challenge = check_echo_token(head.required(CHALLENGE_HEADER)?, "the challenge")?;
    let reply = Reply::json(StatusCode::OK, &json!({ "verification": challenge }));
    // Nobody signed the challenge, so no browser may guess what it is.
    let nosniff = HeaderValue::from_static("nosniff");
    Ok(reply.with_header(header::X_CONTENT_TYPE_OPTIONS, nosniff))
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::*;

    fn answer_to(challenge: Option<&'static str>) -> Result<Reply, &'static str> {
        let mut headers = HeaderMap::new();
        if let Some(challenge) = challenge {
            headers.insert(CHALLENGE_HEADER, HeaderValue::from_static(challenge));
        }
        answer(&Head::default().with_headers(headers)).map_err(|e| e.code())
    }

    #[test]
    fn a_plain_challenge_is_returned_as_json_and_markup_is_rejected() {
        let reply = answer_to(Some("u2J8dK3ZtRrQ")).unwrap();
        assert_eq!(reply.body.as_ref(), br#"{"verification":"u2J8dK3ZtRrQ"}"#);
        assert_eq!(answer_to(None), Err("MISSING_SIGNATURE"));
        assert_eq!(answer_to(Some("<b>")), Err("INVALID_FORMAT"));
        assert_eq!(answer_to(Some("")), Err("INVALID_FORMAT"));
    }
}
