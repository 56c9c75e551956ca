//! Twilio: `X-Twilio-Signature` over the URL and the sorted parameters of a form, HMAC-SHA-1 under the
//! auth token, or HMAC-SHA-256 under a shared key. A JSON body is bound by its hash in the URL.
//!
//! All of it is code: no other sender signs sorted parameters, or several spellings of one URL.
#![warn(missing_docs)]

mod naming;
mod samples;
mod signature;
mod url;

use std::sync::Arc;

use async_trait::async_trait;
use hookward_core::crypto::{Encoding, HmacAlgorithm, HmacContext};
use hookward_core::plugin::{BuildCx, BuildError, ProviderConfig};
use hookward_core::{
    EventDraft, Head, IdentifyError, Identity, Provider, Request, SampleEvent, Secret, SignError,
    Signer, Verification, Verified, VerifyCx, VerifyError,
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
        Ok(Arc::new(Twilio { json: naming::JsonNaming::new()? }))
    }
}

#[derive(Debug)]
struct Twilio {
    json: naming::JsonNaming,
}

#[async_trait]
impl Provider for Twilio {
    fn precheck(&self, head: &Head) -> Result<(), VerifyError> {
        signature::read_head(head).map(drop)
    }

    async fn verify(
        &self,
        request: &Request,
        cx: &VerifyCx<'_>,
    ) -> Result<Verification, VerifyError> {
        signature::verify(request, cx).map(|secret| Verification::Genuine { secret })
    }

    fn identify(&self, delivery: &Verified) -> Result<Vec<Identity>, IdentifyError> {
        naming::identify(&self.json, delivery)
    }

    /// The signature itself: one text has one, and one text can be written as many requests, since
    /// parameters are signed without what stands between them.
    fn replay_token(&self, delivery: &Verified) -> Option<String> {
        delivery.header(signature::SIGNATURE).map(str::to_owned)
    }

    fn signer(&self) -> Option<&dyn Signer> {
        Some(self)
    }
}

/// Signs as Twilio does for JSON: the body's hash in the URL, and the URL.
impl Signer for Twilio {
    fn sign(&self, draft: &EventDraft, secret: &Secret) -> Result<Request, SignError> {
        let fail = |reason: &str| SignError::new(reason.to_owned());
        let hash = Encoding::Hex.encode(&Sha256::digest(draft.body.bytes()));
        let mark = if draft.url.contains('?') { '&' } else { '?' };
        let bound = format!("{mark}{}={hash}", signature::BODY_HASH);
        let mut mac = HmacContext::new(HmacAlgorithm::Sha1, secret.expose().as_bytes())
            .ok_or_else(|| fail("the secret is empty"))?;
        mac.update(draft.url.as_bytes());
        mac.update(bound.as_bytes());
        let tag = HeaderValue::from_str(&Encoding::Base64.encode(&mac.finish()))
            .map_err(|e| fail(&e.to_string()))?;
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(signature::SIGNATURE, tag);
        let target = format!("{}{bound}", draft.target());
        let head = Head::new(Method::POST, target, headers);
        Ok(Request::new(head, draft.body.clone()))
    }
}
