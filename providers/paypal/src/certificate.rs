//! The certificate under which PayPal signs: where it may be, and what has to be right about it.

use hookward_core::keys::x509::Certificates;
use hookward_core::keys::{KeyDocument, PublicKey, split_https_url};
use hookward_core::{Timestamp, VerifyError};

/// The hosts of PayPal's API. Other names below paypal.com serve what others put there.
const HOSTS: [&str; 4] =
    ["api.paypal.com", "api-m.paypal.com", "api.sandbox.paypal.com", "api-m.sandbox.paypal.com"];
/// Where the API keeps the certificates of webhooks.
const PATH: &str = "/v1/notifications/certs/";
/// Whom the certificate names.
const NAMES: [&str; 2] =
    ["messageverificationcerts.paypal.com", "messageverificationcerts.sandbox.paypal.com"];

/// Whether this is an address of a certificate of webhooks.
pub(crate) fn is_pinned(url: &str) -> bool {
    split_https_url(url).is_some_and(|(host, path)| {
        let name = path.strip_prefix(PATH).unwrap_or_default();
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        HOSTS.contains(&host) && !name.is_empty() && name.bytes().all(plain)
    })
}

/// The key in it, if it is of PayPal and valid now. PayPal serves the certificate without those above
/// it, so that it came over https from PayPal's API is what ties it to PayPal; where there are
/// others with it, they have to lead to a public root.
pub(crate) fn key(document: &KeyDocument, now: Timestamp) -> Result<PublicKey, VerifyError> {
    let certificates = Certificates::from_pem(document)?;
    certificates.check_validity(now)?;
    if certificates.is_leaf_only() {
        certificates.check_host(&NAMES)?;
    } else {
        certificates.check_chain(&NAMES, now)?;
    }
    Ok(certificates.key().clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_certificates_of_webhooks_on_the_api_are_pinned() {
        assert!(is_pinned("https://api.paypal.com/v1/notifications/certs/CERT-360caa42-a5cafa77"));
        assert!(is_pinned("https://api-m.sandbox.paypal.com/v1/notifications/certs/CERT-1"));
        for url in [
            "http://api.paypal.com/v1/notifications/certs/CERT-1",
            "https://api.paypal.com/v1/notifications/certs/",
            "https://api.paypal.com/v1/notifications/certs/../evil",
            "https://api.paypal.com/v1/notifications/certs/a/b",
            "https://api.paypal.com/v1/notifications/certs/a?b",
            "https://api.paypal.com/evil/CERT-1",
            "https://api.paypal.com.evil.example/v1/notifications/certs/CERT-1",
            "https://evil.example/v1/notifications/certs/CERT-1",
            "https://www.paypal.com/v1/notifications/certs/CERT-1",
            "https://evilpaypal.com/v1/notifications/certs/CERT-1",
            "https://api.paypal.com:8443/v1/notifications/certs/CERT-1",
            "https://api.paypal.com@evil.example/v1/notifications/certs/CERT-1",
        ] {
            assert!(!is_pinned(url), "{url}");
        }
    }

    #[test]
    fn a_fetched_certificate_must_name_paypal_be_valid_and_have_an_unbroken_chain() {
        let now = Timestamp::from_secs(1_800_000_000);
        let judged = |pem: &str, now| {
            key(&KeyDocument::fetched(pem.to_owned(), now), now)
                .map(drop)
                .map_err(|e| e.to_string())
        };
        let own = include_str!("testdata/paypal.pem");
        assert_eq!(judged(own, now), Ok(()), "alone, over https from the API");
        assert!(judged(own, now.plus(std::time::Duration::from_secs(3_000_000_000))).is_err());
        let other = include_str!("testdata/other.pem");
        assert!(judged(other, now).unwrap_err().contains("does not name the host"));
        assert!(judged(&format!("{own}{other}"), now).unwrap_err().contains("chain"));
    }
}
