//! PayPal: an RSA signature over a transmission's id and time, the webhook's id and the CRC-32 of
//! the body, verified with a certificate from PayPal's own hosts.
//!
//! A CRC is not a cryptographic hash: whoever captured a request can write another body with the
//! same CRC. The transmission's id is signed, so the engine treats such a second delivery as a
//! duplicate.
#![warn(missing_docs)]

mod certificate;
mod message;
mod samples;

use std::sync::Arc;

use async_trait::async_trait;
use hookward_core::crypto::{Encoding, ProofAlgorithm};
use hookward_core::keys::KeyRequest;
use hookward_core::keys::x509::TrustedIssuers;
use hookward_core::plugin::{BuildCx, BuildError, ProviderConfig};
use hookward_core::{
    Head, IdentifyError, Identity, Provider, ProviderEventId, Request, SampleEvent, Secret,
    SecretError, Verification, Verified, VerifyCx, VerifyError,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use message::{TRANSMISSION_ID_HEADER, Transmission};

hookward_core::register_provider!(PaypalConfig);

/// Settings of the provider: the keys of its `with:` block.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PaypalConfig {
    /// The certificates, in PEM, of the authorities that may have issued PayPal's certificate. Read
    /// them from a file with `${file:issuers.pem}`. Certificates of other issuers are rejected.
    #[serde(default)]
    trusted_issuers: Option<String>,
}

impl ProviderConfig for PaypalConfig {
    const NAME: &'static str = "paypal";
    const SUMMARY: &'static str =
        "PayPal webhooks, signed with PayPal's certificate for a webhook id";
    const MEDIA_TYPES: &'static [&'static str] = &["application/json"];
    const KEEP_HEADERS: &'static [&'static str] =
        &["paypal-transmission-id", "paypal-transmission-time"];
    const SAMPLES: &'static [SampleEvent] = samples::ALL;

    fn build(self, _: &BuildCx<'_>) -> Result<Arc<dyn Provider>, BuildError> {
        let read = |pem: &String| TrustedIssuers::from_pem(pem, "/trusted_issuers");
        let trusted_issuers = self.trusted_issuers.as_ref().map(read).transpose()?;
        Ok(Arc::new(Paypal { trusted_issuers }))
    }
}

#[derive(Debug)]
struct Paypal {
    trusted_issuers: Option<TrustedIssuers>,
}

#[async_trait]
impl Provider for Paypal {
    fn precheck(&self, head: &Head) -> Result<(), VerifyError> {
        Transmission::parse(head).map(drop)
    }

    async fn verify(
        &self,
        request: &Request,
        cx: &VerifyCx<'_>,
    ) -> Result<Verification, VerifyError> {
        let transmission = Transmission::parse(&request.head)?;
        if cx.secrets.is_empty() {
            return Err(VerifyError::InvalidSignature);
        }
        let document = cx.keys.fetch(&KeyRequest::for_url(transmission.certificate_url)).await?;
        let key = certificate::key(&document, self.trusted_issuers.as_ref(), cx.now)?;
        let verify = |webhook_id: &Secret| {
            let signed = transmission.signed_text(webhook_id, request.body.bytes());
            let signature = transmission.signature;
            key.verify(ProofAlgorithm::RsaSha256, signed.as_bytes(), signature, Encoding::Base64)
        };
        let mut found = Err(VerifyError::InvalidSignature);
        for (index, webhook_id) in cx.secrets.iter() {
            found = verify(webhook_id).map(|()| index);
            if found.is_ok() {
                break;
            }
        }
        let secret = found?;
        transmission.check_time(cx)?;
        Ok(Verification::Genuine { secret })
    }

    fn identify(&self, delivery: &Verified) -> Result<Vec<Identity>, IdentifyError> {
        let body = delivery.json().map_err(|e| IdentifyError::new(e.to_string()))?;
        let text = |name: &str| {
            let text = body.get(name).and_then(Value::as_str);
            text.filter(|text| !text.is_empty()).map(str::to_owned)
        };
        // The CRC does not protect the id in the body.
        let event_id = text("id").map(ProviderEventId::unsigned);
        Ok(vec![Identity::new().with_event_type(text("event_type")).with_event_id(event_id)])
    }

    fn replay_token(&self, delivery: &Verified) -> Option<String> {
        delivery.header(TRANSMISSION_ID_HEADER).map(str::to_owned)
    }

    fn check_secret(&self, secret: &Secret) -> Result<(), SecretError> {
        message::check_webhook_id(secret)
    }

    fn config_warnings(&self) -> Vec<String> {
        if self.trusted_issuers.is_some() {
            return Vec::new();
        }
        vec![
            "whoever can answer for PayPal's API hosts can sign with a certificate of any issuer; \
             set `trusted_issuers` to the certificates, in PEM, of the authority that issues \
             PayPal's certificate"
                .to_owned(),
        ]
    }
}
