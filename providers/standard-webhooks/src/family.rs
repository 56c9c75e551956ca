//! Choosing between `webhook-*` and `svix-*`. A request must not be proven by one family and named by
//! the other, so where both are there they have to say the same.

use hookward_core::{Head, VerifyError};

/// What stands behind the prefix.
const PARTS: [&str; 3] = ["id", "timestamp", "signature"];

/// A family of headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    Webhook,
    Svix,
}

/// `webhook-*` if it is complete, else `svix-*` if that is; else the one that lacks less, so that
/// the sender reads what is missing.
pub(crate) fn choose(head: &Head) -> Result<Family, VerifyError> {
    let (mut webhook, mut svix) = (0, 0);
    for part in PARTS {
        let one = head.single(&format!("webhook-{part}"))?;
        let two = head.single(&format!("svix-{part}"))?;
        webhook += usize::from(one.is_some());
        svix += usize::from(two.is_some());
        if one.is_some() && two.is_some() && one != two {
            return Err(VerifyError::invalid_format(format!(
                "webhook-{part} and svix-{part} came with different values"
            )));
        }
    }
    Ok(if webhook < PARTS.len() && svix > webhook { Family::Svix } else { Family::Webhook })
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
        choose(&Head::default().with_headers(map)).map_err(|e| e.code())
    }

    #[test]
    fn a_complete_family_is_chosen_and_webhook_goes_first() {
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
    fn families_that_contradict_each_other_are_refused() {
        let svix = ["svix-id:1", "svix-timestamp:2", "svix-signature:3"];
        for other in ["webhook-id:9", "webhook-timestamp:9", "webhook-signature:9", "webhook-id:"] {
            assert_eq!(choice(&[&svix[..], &[other]].concat()), Err("INVALID_FORMAT"));
        }
    }
}
