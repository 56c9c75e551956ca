//! The validation of an endpoint: Microsoft sends `POST ?validationToken=…` when a subscription is
//! created. No secret is agreed on yet, so the returned token is limited in length and characters,
//! and its media type is plain text. SharePoint writes the parameter in lower case
//! (<https://learn.microsoft.com/sharepoint/dev/apis/webhooks/overview-sharepoint-webhooks>).

use hookward_core::scheme::form_value;
use hookward_core::{Head, Reply, VerifyError, check_echo_token};
use http::{Method, StatusCode};

/// Returns a reply with the decoded token as plain text; `None` if the request is not a validation.
pub(crate) fn answer(head: &Head) -> Result<Option<Reply>, VerifyError> {
    let query = head.query().filter(|_| head.method == Method::POST).unwrap_or_default();
    let [graph, sharepoint] =
        ["validationToken", "validationtoken"].map(|name| form_value(query.as_bytes(), name));
    let token = match (graph?, sharepoint?) {
        (Some(_), Some(_)) => {
            let what = "the query has the validation token under two names";
            return Err(VerifyError::invalid_format(what));
        }
        (Some(token), None) | (None, Some(token)) => token,
        (None, None) => return Ok(None),
    };
    check_echo_token(&token, "the validation token")?;
    Ok(Some(Reply::text(StatusCode::OK, token)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer_to(target: &str) -> Result<Option<Vec<u8>>, &'static str> {
        let head = Head::default().with_method(Method::POST).with_target(target.to_owned());
        let reply = answer(&head).map_err(|e| e.code())?;
        Ok(reply.map(|reply| reply.body.to_vec()))
    }

    #[test]
    fn a_validation_token_is_returned_decoded_and_markup_is_rejected() {
        let token = "Validation: Testing client application reachability for subscription Request-Id: 522a8e7e";
        let encoded = token.replace(' ', "+").replace(':', "%3A");
        let target = format!("/in/1?validationToken={encoded}");
        assert_eq!(answer_to(&target), Ok(Some(token.as_bytes().to_vec())));
        assert_eq!(answer_to("/in/1?a=b"), Ok(None));
        assert_eq!(answer_to("/in/1?validationToken=%3Cscript%3E"), Err("INVALID_FORMAT"));
        assert_eq!(answer_to("/in/1?validationToken="), Err("INVALID_FORMAT"));
        assert_eq!(answer_to("/in/1?validationToken=a&validationToken=b"), Err("INVALID_FORMAT"));
    }
}
