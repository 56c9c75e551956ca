//! Zoom: `x-zm-signature: v0=…` over time and body, HMAC-SHA-256.
//!
//! Its signature scheme is data (`scheme.json`). The validation of an endpoint, in which Zoom sends
//! a signed token that the reply must return together with its HMAC, needs code.
#![warn(missing_docs)]

mod handshake;
mod samples;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hookward_core::plugin::{BuildCx, BuildError, ProviderConfig};
use hookward_core::scheme::{CompiledScheme, Scheme};
use hookward_core::{Provider, Request, SampleEvent, Verification, VerifyCx, VerifyError};
use schemars::JsonSchema;
use serde::Deserialize;

hookward_core::register_provider!(ZoomConfig);

/// Settings of the provider: its `with:` block has no keys.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ZoomConfig {}

impl ProviderConfig for ZoomConfig {
    const NAME: &'static str = "zoom";
    const SUMMARY: &'static str = "Zoom webhooks, signed with the app's secret token";
    const MEDIA_TYPES: &'static [&'static str] = &["application/json"];
    const KEEP_HEADERS: &'static [&'static str] = &["x-zm-trackingid"];
    const TOLERANCE: Option<Duration> = None;
    const SAMPLES: &'static [SampleEvent] = samples::ALL;

    fn build(self, _: &BuildCx<'_>) -> Result<Arc<dyn Provider>, BuildError> {
        let scheme = Scheme::from_json(include_str!("scheme.json"))?.compile()?;
        Ok(Arc::new(Zoom { scheme }))
    }
}

#[derive(Debug)]
struct Zoom {
    scheme: CompiledScheme,
}

#[async_trait]
impl Provider for Zoom {
    fn scheme(&self) -> Option<&CompiledScheme> {
        Some(&self.scheme)
    }

    async fn verify(
        &self,
        request: &Request,
        cx: &VerifyCx<'_>,
    ) -> Result<Verification, VerifyError> {
        let secret = self.scheme.verify(request, cx)?;
        // The body is read after the signature is verified: a token that Zoom did not sign is never
        // signed here.
        let matched = cx.secrets.iter().find(|(index, _)| *index == secret).map(|(_, s)| s);
        Ok(match handshake::answer(request, matched)? {
            Some(reply) => Verification::Handshake(reply.into()),
            None => Verification::Genuine { secret },
        })
    }
}
