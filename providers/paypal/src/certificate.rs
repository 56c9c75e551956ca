//! Checks the certificate with which PayPal signs: its URL and its contents.

use hookward_core::keys::x509::{Certificates, TrustedIssuers};
use hookward_core::keys::{KeyDocument, PublicKey, split_https_url};
use hookward_core::{Timestamp, VerifyError};

/// Hosts of PayPal's API. Other hosts below paypal.com serve content that others upload.
const API_HOSTS: [&str; 4] =
    ["api.paypal.com", "api-m.paypal.com", "api.sandbox.paypal.com", "api-m.sandbox.paypal.com"];
/// Path of the API to the certificates of webhooks.
const CERTIFICATES_PATH: &str = "/v1/notifications/certs/";
/// Host names, one of which the certificate must name.
const CERTIFICATE_NAMES: [&str; 2] =
    ["messageverificationcerts.paypal.com", "messageverificationcerts.sandbox.paypal.com"];

/// Returns whether a URL is that of a webhook certificate on PayPal's API.
pub(crate) fn is_certificate_url(url: &str) -> bool {
    split_https_url(url).is_some_and(|(host, path)| {
        let name = path.strip_prefix(CERTIFICATES_PATH).unwrap_or_default();
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        API_HOSTS.contains(&host) && !name.is_empty() && name.bytes().all(plain)
    })
}

/// Returns the key of a certificate that belongs to PayPal and is valid now. With trusted issuers,
/// one of them must have issued it. Without any, a certificate that comes without intermediates is
/// trusted because it came over https from PayPal's API; if intermediates come with it, they must
/// lead to a public root.
pub(crate) fn key(
    document: &KeyDocument,
    issuers: Option<&TrustedIssuers>,
    now: Timestamp,
) -> Result<PublicKey, VerifyError> {
    let certificates = Certificates::from_pem(document)?;
    certificates.check_validity(now)?;
    match issuers {
        Some(issuers) => certificates.check_chain_to(issuers, &CERTIFICATE_NAMES, now)?,
        None if certificates.is_leaf_only() => certificates.check_host(&CERTIFICATE_NAMES)?,
        None => certificates.check_chain(&CERTIFICATE_NAMES, now)?,
    }
    Ok(certificates.key().clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_urls_of_webhook_certificates_on_the_api_are_accepted() {
        assert!(is_certificate_url(
            "https://api.paypal.com/v1/notifications/certs/CERT-360caa42-a5cafa77"
        ));
        assert!(is_certificate_url(
            "https://api-m.sandbox.paypal.com/v1/notifications/certs/CERT-1"
        ));
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
            assert!(!is_certificate_url(url), "{url}");
        }
    }

    #[test]
    fn a_certificate_must_name_paypal_and_be_valid_and_have_an_unbroken_chain() {
        let now = Timestamp::from_secs(1_800_000_000);
        let verdict = |pem: &str, now| {
            key(&KeyDocument::fetched(pem.to_owned(), now), None, now)
                .map(drop)
                .map_err(|e| e.to_string())
        };
        let own = include_str!("testdata/paypal.pem");
        assert_eq!(verdict(own, now), Ok(()), "alone, over https from the API");
        assert!(verdict(own, now.plus(std::time::Duration::from_secs(3_000_000_000))).is_err());
        let other = include_str!("testdata/other.pem");
        assert!(verdict(other, now).unwrap_err().contains("does not name the host"));
        assert!(verdict(&format!("{own}{other}"), now).unwrap_err().contains("chain"));
    }
}
