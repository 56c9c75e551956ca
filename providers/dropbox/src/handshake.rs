//! The verification of an address: `GET ?challenge=…`, sent when an address is saved. Nobody signs it,
//! so what goes back is bounded in length and letters, and never read as anything but text.

use hookward_core::scheme::form_value;
use hookward_core::{Head, Reply, VerifyError, check_echo_token};
use http::StatusCode;

/// The challenge as text.
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
    fn a_challenge_comes_back_and_markup_does_not() {
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
