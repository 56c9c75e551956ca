//! Twilio: `X-Twilio-Signature` over the URL and the sorted parameters of a form, HMAC-SHA-1 with
//! the auth token, or HMAC-SHA-256 with a shared key. A JSON body is covered by its hash in the
//! URL.
//!
//! This provider is code, because no other sender signs sorted parameters, or several spellings of
//! one URL.
#![warn(missing_docs)]

mod identity;
mod reply;
mod samples;
mod signature;
mod url;

use std::sync::Arc;

use async_trait::async_trait;
use hookward_core::crypto::{Encoding, HmacAlgorithm, HmacContext};
use hookward_core::plugin::{BuildCx, BuildError, ProviderConfig};
use hookward_core::{
    EventDraft, Head, IdentifyError, Identity, Provider, Receipt, Reply, Request, RequestPart,
    SampleEvent, Secret, SignError, Signer, Verification, Verified, VerifyCx, VerifyError,
};
use http::{HeaderMap, HeaderValue, Method, header};
use schemars::JsonSchema;
use serde::Deserialize;
use sha2::{Digest, Sha256};

hookward_core::register_provider!(TwilioConfig);

/// Settings of the provider: its `with:` block has no keys.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TwilioConfig {}

impl ProviderConfig for TwilioConfig {
    const NAME: &'static str = "twilio";
    const SUMMARY: &'static str =
        "Twilio messages, calls, status callbacks and event streams, as forms or JSON";
    const METHODS: &'static [&'static str] = &["POST", "GET"];
    const KEEP_HEADERS: &'static [&'static str] = &[];
    const SAMPLES: &'static [SampleEvent] = samples::ALL;

    fn build(self, _: &BuildCx<'_>) -> Result<Arc<dyn Provider>, BuildError> {
        Ok(Arc::new(Twilio { json: identity::JsonIdentityRules::new()? }))
    }
}

#[derive(Debug)]
struct Twilio {
    json: identity::JsonIdentityRules,
}

#[async_trait]
impl Provider for Twilio {
    fn precheck(&self, head: &Head) -> Result<(), VerifyError> {
        signature::parse_head(head).map(drop)
    }

    async fn verify(
        &self,
        request: &Request,
        cx: &VerifyCx<'_>,
    ) -> Result<Verification, VerifyError> {
        signature::verify(request, cx).map(|secret| Verification::Genuine { secret })
    }

    fn needs_public_url(&self) -> bool {
        true
    }

    fn identify(&self, delivery: &Verified) -> Result<Vec<Identity>, IdentifyError> {
        identity::identify(&self.json, delivery)
    }

    fn reply(&self, delivery: &Verified, receipt: &Receipt) -> Reply {
        reply::reply(delivery, receipt)
    }

    /// The signature covers the URL with its query, and the form or the hash of the JSON body.
    fn signs(&self, part: RequestPart<'_>) -> bool {
        !matches!(part, RequestPart::Header(_))
    }

    /// The signature itself. Parameters are signed without separators, so one signed text can be
    /// written as many different requests; all of them have this signature.
    fn replay_token(&self, delivery: &Verified) -> Option<String> {
        delivery.header(signature::SIGNATURE_HEADER).map(str::to_owned)
    }

    fn signer(&self) -> Option<&dyn Signer> {
        Some(self)
    }
}

/// Signs as Twilio does for JSON: the URL, with the hash of the body in its query.
impl Signer for Twilio {
    fn sign(&self, draft: &EventDraft, secret: &Secret) -> Result<Request, SignError> {
        let fail = |reason: &str| SignError::new(reason);
        let hash = Encoding::Hex.encode(&Sha256::digest(draft.body.bytes()));
        let separator = if draft.url.contains('?') { '&' } else { '?' };
        let hash_parameter = format!("{separator}{}={hash}", signature::BODY_HASH_PARAMETER);
        let mut mac = HmacContext::new(HmacAlgorithm::Sha1, secret.expose().as_bytes())
            .ok_or_else(|| fail("the secret is empty"))?;
        mac.update(draft.url.as_bytes());
        mac.update(hash_parameter.as_bytes());
        let tag = HeaderValue::from_str(&Encoding::Base64.encode(&mac.finish()))
            .map_err(|e| fail(&e.to_string()))?;
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(signature::SIGNATURE_HEADER, tag);
        let target = format!("{}{hash_parameter}", draft.target());
        let head = Head::new(Method::POST, target, headers);
        Ok(Request::new(head, draft.body.clone()))
    }
}
