//! What PayPal says of a transmission in the head, and the text that it signs.

use hookward_core::crypto::{Encoding, ProofAlgorithm, Tag};
use hookward_core::{Head, Secret, SecretError, Timestamp, VerifyCx, VerifyError};

use crate::certificate;

/// The header with the transmission's id.
pub(crate) const ID: &str = "paypal-transmission-id";
/// The longest id, as PayPal documents it for its own way to verify.
const MAX_ID: usize = 50;

/// A transmission whose form is right.
#[derive(Debug)]
pub(crate) struct Transmission<'a> {
    id: &'a str,
    time: &'a str,
    pub(crate) signature: &'a str,
    /// The address of the certificate: on a host of PayPal.
    pub(crate) certificate: &'a str,
}

impl<'a> Transmission<'a> {
    pub(crate) fn read(head: &'a Head) -> Result<Self, VerifyError> {
        let id = head.required(ID)?;
        let time = head.required("paypal-transmission-time")?;
        let signature = head.required("paypal-transmission-sig")?;
        let certificate = head.required("paypal-cert-url")?;
        if head.required("paypal-auth-algo")? != "SHA256withRSA" {
            return Err(VerifyError::invalid_format("PAYPAL-AUTH-ALGO is not SHA256withRSA"));
        }
        // The signed text has no marks but its bars: no part of it may hold one.
        let in_id = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        if !(1..=MAX_ID).contains(&id.len()) || !id.bytes().all(in_id) {
            return Err(VerifyError::invalid_format("PAYPAL-TRANSMISSION-ID is no id"));
        }
        if time.contains('|') || Timestamp::parse_rfc3339(time).is_none() {
            return Err(VerifyError::invalid_format("PAYPAL-TRANSMISSION-TIME is no time"));
        }
        if !certificate::is_pinned(certificate) {
            return Err(VerifyError::invalid_format(
                "PAYPAL-CERT-URL is no certificate of webhooks on a host of PayPal",
            ));
        }
        let length = ProofAlgorithm::RsaSha256.tag_len();
        if Tag::decode(signature, Encoding::Base64, length).is_none() {
            return Err(VerifyError::invalid_format(
                "PAYPAL-TRANSMISSION-SIG is no signature in base64",
            ));
        }
        Ok(Self { id, time, signature, certificate })
    }

    /// The text that is signed for this webhook and body.
    pub(crate) fn signed(&self, webhook_id: &Secret, body: &[u8]) -> String {
        let (id, time, webhook_id) = (self.id, self.time, webhook_id.expose());
        format!("{id}|{time}|{webhook_id}|{}", crc32fast::hash(body))
    }

    /// PayPal documents no limit to the age of a transmission; a source may have one.
    pub(crate) fn check_time(&self, cx: &VerifyCx<'_>) -> Result<(), VerifyError> {
        let (Some(tolerance), Some(time)) = (cx.tolerance, Timestamp::parse_rfc3339(self.time))
        else {
            return Ok(());
        };
        let (age, ahead) = (cx.now.since(time), time.since(cx.now));
        if age > tolerance {
            return Err(VerifyError::TimestampTooOld { age, tolerance });
        }
        if ahead > tolerance {
            return Err(VerifyError::TimestampInFuture { ahead, tolerance });
        }
        Ok(())
    }
}

/// The secret is the webhook's id, which PayPal shows beside its address.
pub(crate) fn check_webhook_id(secret: &Secret) -> Result<(), SecretError> {
    let text = secret.expose();
    if (1..=MAX_ID).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return Ok(());
    }
    Err(SecretError::new(
        "is not the id of a webhook: up to 50 letters and digits, as PayPal shows it",
    ))
}
