//! The verification of an endpoint: Meta sends
//! `GET ?hub.mode=subscribe&hub.verify_token=…&hub.challenge=…` when the callback URL is saved. The
//! challenge is returned to whoever knows the token.

use hookward_core::crypto::tokens_equal;
use hookward_core::scheme::form_value;
use hookward_core::{Head, Reply, Secret, VerifyCx, VerifyError, check_echo_token};
use http::StatusCode;

/// The query of a verification request.
pub(crate) struct VerificationRequest {
    token: String,
    challenge: String,
}

/// Parses the query of a head. Any other GET request is rejected before its body is read.
pub(crate) fn parse(head: &Head) -> Result<VerificationRequest, VerifyError> {
    let field = |name: &str| {
        let found = form_value(head.query().unwrap_or_default().as_bytes(), name)?;
        found.ok_or_else(|| VerifyError::missing_signature(format!("the query parameter {name}")))
    };
    if field("hub.mode")? != "subscribe" {
        return Err(VerifyError::invalid_format("hub.mode is not `subscribe`"));
    }
    let (token, challenge) = (field("hub.verify_token")?, field("hub.challenge")?);
    check_echo_token(&challenge, "hub.challenge")?;
    Ok(VerificationRequest { token, challenge })
}

/// Returns the challenge, or 403 for a wrong token. The token is compared in constant time.
pub(crate) fn answer(
    request: VerificationRequest,
    verify_token: Option<&Secret>,
    cx: &VerifyCx<'_>,
) -> Reply {
    let matches =
        |secret: &Secret| tokens_equal(request.token.as_bytes(), secret.expose().as_bytes());
    let is_right = match verify_token {
        Some(token) => matches(token),
        None => cx.secrets.iter().fold(false, |found, (_, secret)| matches(secret) || found),
    };
    if is_right {
        Reply::text(StatusCode::OK, request.challenge)
    } else {
        Reply::empty(StatusCode::FORBIDDEN)
    }
}

#[cfg(test)]
mod tests {
    use hookward_core::keys::NoKeys;
    use hookward_core::{SecretSet, Timestamp};

    use super::*;

    fn status(query: &str, verify_token: Option<&str>) -> Result<u16, &'static str> {
        let head = Head::default().with_target(format!("/in/1?{query}"));
        let request = parse(&head).map_err(|e| e.code())?;
        let secrets = SecretSet::from_texts(["old", "app-secret"]).unwrap();
        let now = Timestamp::from_secs(0);
        let active = secrets.active(now);
        let cx = VerifyCx::new(now, active, &NoKeys);
        let token = verify_token.map(Secret::new);
        Ok(answer(request, token.as_ref(), &cx).status.as_u16())
    }

    fn query(token: &str) -> String {
        format!("hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token={token}")
    }

    #[test]
    fn the_expected_token_is_the_configured_one_or_else_a_secret() {
        assert_eq!(status(&query("mine"), Some("mine")), Ok(200));
        assert_eq!(status(&query("app-secret"), Some("mine")), Ok(403));
        assert_eq!(status(&query("app-secret"), None), Ok(200));
        assert_eq!(status(&query("old"), None), Ok(200));
        assert_eq!(status(&query("app-secre"), None), Ok(403));
        assert_eq!(status(&query(""), None), Ok(403));
    }

    #[test]
    fn other_get_requests_are_rejected() {
        assert_eq!(status("", None), Err("MISSING_SIGNATURE"));
        assert_eq!(status("hub.mode=subscribe&hub.challenge=1", None), Err("MISSING_SIGNATURE"));
        let other = query("app-secret").replace("subscribe", "unsubscribe");
        assert_eq!(status(&other, None), Err("INVALID_FORMAT"));
        let markup = query("app-secret").replace("1158201444", "%3Cscript%3E");
        assert_eq!(status(&markup, None), Err("INVALID_FORMAT"));
        let twice = format!("{}&hub.verify_token=x", query("app-secret"));
        assert_eq!(status(&twice, None), Err("INVALID_FORMAT"));
    }
}
