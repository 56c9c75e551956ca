//! Parses the headers of a transmission and builds the text that PayPal signs.

use std::time::Duration;

use hookward_core::crypto::{Encoding, ProofAlgorithm, Tag};
use hookward_core::{Head, Secret, SecretError, Timestamp, VerifyCx, VerifyError};

use crate::certificate;

/// The header with the id of the transmission.
pub(crate) const TRANSMISSION_ID_HEADER: &str = "paypal-transmission-id";
/// Maximum length of an id, by the API reference of `verify-webhook-signature`.
const MAX_ID_LEN: usize = 50;
/// Greatest age of a transmission unless the source sets a tolerance. PayPal sends up to 25 times
/// over three days (<https://developer.paypal.com/api/rest/webhooks/>), and does not say whether
/// the time of a transmission is that of its first attempt.
const MAX_AGE: Duration = Duration::from_secs(4 * 86_400);
/// How far a transmission's time may lie ahead unless the source sets a tolerance.
const MAX_AHEAD: Duration = Duration::from_secs(300);

/// A well-formed transmission. Nothing in it is trusted before its signature is verified.
#[derive(Debug)]
pub(crate) struct Transmission<'a> {
    id: &'a str,
    time: &'a str,
    sent_at: Timestamp,
    pub(crate) signature: &'a str,
    /// URL of the certificate, on a host of PayPal.
    pub(crate) certificate_url: &'a str,
}

impl<'a> Transmission<'a> {
    pub(crate) fn parse(head: &'a Head) -> Result<Self, VerifyError> {
        let id = head.required(TRANSMISSION_ID_HEADER)?;
        let time = head.required("paypal-transmission-time")?;
        let signature = head.required("paypal-transmission-sig")?;
        let certificate_url = head.required("paypal-cert-url")?;
        if head.required("paypal-auth-algo")? != "SHA256withRSA" {
            return Err(VerifyError::invalid_format("PAYPAL-AUTH-ALGO is not SHA256withRSA"));
        }
        // Bars separate the parts of the signed text, so no part may contain one.
        let in_id = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        if !(1..=MAX_ID_LEN).contains(&id.len()) || !id.bytes().all(in_id) {
            return Err(VerifyError::invalid_format(
                "PAYPAL-TRANSMISSION-ID is not an id of up to 50 letters, digits and hyphens",
            ));
        }
        let sent_at = Timestamp::parse_rfc3339(time).filter(|_| !time.contains('|'));
        let sent_at = sent_at.ok_or_else(|| {
            VerifyError::invalid_format("PAYPAL-TRANSMISSION-TIME is not an RFC 3339 time")
        })?;
        if !certificate::is_certificate_url(certificate_url) {
            return Err(VerifyError::invalid_format(
                "PAYPAL-CERT-URL is not a webhook certificate on a host of PayPal",
            ));
        }
        let length = ProofAlgorithm::RsaSha256.tag_len();
        if Tag::decode(signature, Encoding::Base64, length).is_none() {
            return Err(VerifyError::invalid_format(
                "PAYPAL-TRANSMISSION-SIG is not a signature in base64",
            ));
        }
        Ok(Self { id, time, sent_at, signature, certificate_url })
    }

    /// Returns the text that PayPal signs for a webhook and a body.
    pub(crate) fn signed_text(&self, webhook_id: &Secret, body: &[u8]) -> String {
        let (id, time, webhook_id) = (self.id, self.time, webhook_id.expose());
        format!("{id}|{time}|{webhook_id}|{}", crc32fast::hash(body))
    }

    /// Checks the age of the transmission.
    pub(crate) fn check_time(&self, cx: &VerifyCx<'_>) -> Result<(), VerifyError> {
        cx.check_time(self.sent_at, MAX_AGE, MAX_AHEAD)
    }
}

/// Checks that a secret is the id of a webhook, which PayPal shows beside its URL.
pub(crate) fn check_webhook_id(secret: &Secret) -> Result<(), SecretError> {
    let text = secret.expose();
    if (1..=MAX_ID_LEN).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return Ok(());
    }
    Err(SecretError::new(
        "is not the id of a webhook; copy the id, up to 50 letters and digits, from PayPal's dashboard",
    ))
}
