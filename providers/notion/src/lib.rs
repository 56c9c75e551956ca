//! Notion: `X-Notion-Signature: sha256=…` over the body, HMAC-SHA-256, with a token that Notion
//! generates.
//!
//! Its signature scheme is data (`scheme.json`). The verification of a subscription, in which
//! Notion sends the token without a signature, needs code.
#![warn(missing_docs)]

mod handshake;
mod samples;

use std::sync::Arc;

use async_trait::async_trait;
use hookward_core::plugin::{BuildCx, BuildError, ProviderConfig};
use hookward_core::scheme::{CompiledScheme, Scheme};
use hookward_core::{Head, Provider, Request, SampleEvent, Verification, VerifyCx, VerifyError};
use schemars::JsonSchema;
use serde::Deserialize;

hookward_core::register_provider!(NotionConfig);

/// Settings of the provider: its `with:` block has no keys.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NotionConfig {}

impl ProviderConfig for NotionConfig {
    const NAME: &'static str = "notion";
    const SUMMARY: &'static str =
        "Notion webhooks, with the verification token that Notion sends at set-up";
    const MEDIA_TYPES: &'static [&'static str] = &["application/json"];
    const SECRET_FROM_HANDSHAKE: bool = true;
    const SAMPLES: &'static [SampleEvent] = samples::ALL;

    fn build(self, _: &BuildCx<'_>) -> Result<Arc<dyn Provider>, BuildError> {
        let scheme = Scheme::from_json(include_str!("scheme.json"))?.compile()?;
        Ok(Arc::new(Notion { scheme }))
    }
}

#[derive(Debug)]
struct Notion {
    scheme: CompiledScheme,
}

#[async_trait]
impl Provider for Notion {
    fn scheme(&self) -> Option<&CompiledScheme> {
        Some(&self.scheme)
    }

    fn precheck(&self, head: &Head) -> Result<(), VerifyError> {
        if handshake::may_be_verification(head) { Ok(()) } else { self.scheme.precheck(head) }
    }

    async fn verify(
        &self,
        request: &Request,
        cx: &VerifyCx<'_>,
    ) -> Result<Verification, VerifyError> {
        if handshake::may_be_verification(&request.head) {
            return handshake::answer(request, cx).map(Verification::Handshake);
        }
        // A signed request with a token in its body is an event like any other, so it cannot
        // replace the secret.
        let secret = self.scheme.verify(request, cx)?;
        Ok(Verification::Genuine { secret })
    }
}
