//! The verification of an address: the only GET that Okta sends, with a challenge in a header. Nobody
//! signs it, so what goes back is bounded in length and letters.

use hookward_core::{Head, Reply, VerifyError, check_echo_token};
use http::StatusCode;
use serde_json::json;

/// The header of the challenge.
const CHALLENGE: &str = "x-okta-verification-challenge";

/// The challenge as JSON.
pub(crate) fn answer(head: &Head) -> Result<Reply, VerifyError> {
    let challenge = check_echo_token(head.required(CHALLENGE)?, "the challenge")?;
    Ok(Reply::json(StatusCode::OK, &json!({ "verification": challenge })))
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::*;

    fn answer_to(challenge: Option<&'static str>) -> Result<Reply, &'static str> {
        let mut headers = HeaderMap::new();
        if let Some(challenge) = challenge {
            headers.insert(CHALLENGE, HeaderValue::from_static(challenge));
        }
        answer(&Head::default().with_headers(headers)).map_err(|e| e.code())
    }

    #[test]
    fn a_challenge_comes_back_as_json_and_markup_does_not() {
        let reply = answer_to(Some("u2J8dK3ZtRrQ")).unwrap();
        assert_eq!(reply.body.as_ref(), br#"{"verification":"u2J8dK3ZtRrQ"}"#);
        assert_eq!(answer_to(None), Err("MISSING_SIGNATURE"));
        assert_eq!(answer_to(Some("<b>")), Err("INVALID_FORMAT"));
        assert_eq!(answer_to(Some("")), Err("INVALID_FORMAT"));
    }
}
