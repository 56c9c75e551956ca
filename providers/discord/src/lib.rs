//! Discord: `X-Signature-Ed25519` over time and body, Ed25519 with the app's public key.
//!
//! Its signature scheme is data (`scheme.json`). The PING of both kinds of endpoint (interactions
//! and webhook events) and the replies need code: an interaction requires its own reply.
#![warn(missing_docs)]

mod handshake;
mod samples;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hookward_core::plugin::{BuildCx, BuildError, ProviderConfig};
use hookward_core::scheme::{CompiledScheme, Scheme};
use hookward_core::{
    Provider, Receipt, Reply, Request, SampleEvent, Verification, Verified, VerifyCx, VerifyError,
};
use schemars::JsonSchema;
use serde::Deserialize;

hookward_core::register_provider!(DiscordConfig);

/// Settings of the provider: its `with:` block has no keys.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DiscordConfig {}

impl ProviderConfig for DiscordConfig {
    const NAME: &'static str = "discord";
    const SUMMARY: &'static str =
        "Discord interactions and webhook events, with the app's public key";
    const MEDIA_TYPES: &'static [&'static str] = &["application/json"];
    const TOLERANCE: Option<Duration> = Some(Duration::from_secs(15 * 60));
    const SAMPLES: &'static [SampleEvent] = samples::ALL;

    fn build(self, _: &BuildCx<'_>) -> Result<Arc<dyn Provider>, BuildError> {
        let scheme = Scheme::from_json(include_str!("scheme.json"))?.compile()?;
        Ok(Arc::new(Discord { scheme }))
    }
}

#[derive(Debug)]
struct Discord {
    scheme: CompiledScheme,
}

#[async_trait]
impl Provider for Discord {
    fn scheme(&self) -> Option<&CompiledScheme> {
        Some(&self.scheme)
    }

    async fn verify(
        &self,
        request: &Request,
        cx: &VerifyCx<'_>,
    ) -> Result<Verification, VerifyError> {
        let secret = self.scheme.verify(request, cx)?;
        Ok(match handshake::answer(request) {
            Some(reply) => Verification::Handshake(reply.into()),
            None => Verification::Genuine { secret },
        })
    }

    fn reply(&self, _: &Verified, receipt: &Receipt) -> Reply {
        let first = receipt.events.first();
        handshake::acknowledgement(first.and_then(|event| event.event_type.as_deref()))
    }
}
