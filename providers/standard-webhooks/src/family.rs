//! Selects `webhook-*` or `svix-*`. A request must not be verified by one family and identified by
//! the other, so if both are present their values must be the same.

use hookward_core::{Head, VerifyError};

/// Names of the headers without the prefix of the family.
const HEADER_SUFFIXES: [&str; 3] = ["id", "timestamp", "signature"];

/// Family of headers that a request uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    Webhook,
    Svix,
}

/// Selects `webhook-*` if it is complete, else `svix-*` if that is complete, else the one with more
/// headers, so that the rejection names the headers that are missing.
pub(crate) fn select_family(head: &Head) -> Result<Family, VerifyError> {
    let (mut webhook, mut svix) = (0, 0);
    for part in HEADER_SUFFIXES {
        let one = head.single(&format!("webhook-{part}"))?;
        let two = head.single(&format!("svix-{part}"))?;
        webhook += usize::from(one.is_some());
        svix += usize::from(two.is_some());
        if one.is_some() && two.is_some() && one != two {
            return Err(VerifyError::invalid_format(format!(
                "webhook-{part} and svix-{part} have different values"
            )));
        }
    }
    Ok(if webhook < HEADER_SUFFIXES.len() && svix > webhook {
        Family::Svix
    } else {
        Family::Webhook
    })
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue};

    use super::*;

    fn choice(headers: &[&str]) -> Result<Family, &'static str> {
        let mut map = HeaderMap::new();
        for line in headers {
            let (name, value) = line.split_once(':').unwrap();
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            map.append(name, HeaderValue::from_str(value).unwrap());
        }
        select_family(&Head::default().with_headers(map)).map_err(|e| e.code())
    }

    #[test]
    fn a_complete_family_is_selected_and_webhook_has_precedence() {
        let webhook = ["webhook-id:1", "webhook-timestamp:2", "webhook-signature:3"];
        let svix = ["svix-id:1", "svix-timestamp:2", "svix-signature:3"];
        assert_eq!(choice(&webhook), Ok(Family::Webhook));
        assert_eq!(choice(&svix), Ok(Family::Svix));
        assert_eq!(choice(&[webhook, svix].concat()), Ok(Family::Webhook));
        assert_eq!(choice(&[&svix[..], &webhook[..2]].concat()), Ok(Family::Svix));
        assert_eq!(choice(&[]), Ok(Family::Webhook));
        assert_eq!(choice(&svix[..1]), Ok(Family::Svix));
    }

    #[test]
    fn families_with_different_values_are_rejected() {
        let svix = ["svix-id:1", "svix-timestamp:2", "svix-signature:3"];
        for other in ["webhook-id:9", "webhook-timestamp:9", "webhook-signature:9", "webhook-id:"] {
            assert_eq!(choice(&[&svix[..], &[other]].concat()), Err("INVALID_FORMAT"));
        }
    }
}
