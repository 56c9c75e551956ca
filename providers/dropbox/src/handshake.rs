//! The verification of an endpoint: Dropbox sends `GET ?challenge=…` when a webhook URI is saved.
//! The request is not signed, so the returned challenge is limited in length and characters, and
//! its media type is plain text.

use hookward_core::scheme::form_value;
use hookward_core::{Head, Reply, VerifyError, check_echo_token};
use http::StatusCode;

/// Returns a reply with the challenge as plain text.
pub(crate) fn answer(head: &Head) -> Result<Reply, VerifyError> {
    let challenge = form_value(head.query().unwrap_or_default().as_bytes(), "challenge")?;
    let challenge =
        challenge.ok_or_else(|| VerifyError::missing_signature("the query parameter challenge"))?;
    check_echo_token(&challenge, "the challenge")?;
    Ok(Reply::text(StatusCode::OK, challenge))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer_to(target: &str) -> Result<Reply, &'static str> {
        answer(&Head::default().with_target(target.to_owned())).map_err(|e| e.code())
    }

    #[test]
    fn a_plain_challenge_is_returned_and_markup_is_rejected() {
        let reply = answer_to("/in/1?challenge=AbC_12-3").unwrap();
        assert_eq!((reply.status.as_u16(), reply.body.as_ref()), (200, &b"AbC_12-3"[..]));
        let nosniff =
            reply.headers.iter().any(|(n, v)| n == "x-content-type-options" && v == "nosniff");
        assert!(nosniff);
        assert_eq!(answer_to("/in/1"), Err("MISSING_SIGNATURE"));
        assert_eq!(answer_to("/in/1?challenge="), Err("INVALID_FORMAT"));
        assert_eq!(answer_to("/in/1?challenge=%3Cscript%3E"), Err("INVALID_FORMAT"));
        assert_eq!(answer_to("/in/1?challenge=a&challenge=b"), Err("INVALID_FORMAT"));
    }
}
