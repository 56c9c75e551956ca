//! Twitch EventSub: `Twitch-Eventsub-Message-Signature: sha256=…` over id, time and body,
//! HMAC-SHA-256.
//!
//! Its signature scheme is data (`scheme.json`). The challenge by which Twitch validates an
//! endpoint, and revocations, which would otherwise have the type of the events that they end, need
//! code.
#![warn(missing_docs)]

mod handshake;
mod samples;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hookward_core::plugin::{BuildCx, BuildError, ProviderConfig};
use hookward_core::scheme::{CompiledScheme, Scheme};
use hookward_core::{
    IdentifyError, Identity, Provider, Request, SampleEvent, Verification, Verified, VerifyCx,
    VerifyError,
};
use schemars::JsonSchema;
use serde::Deserialize;

hookward_core::register_provider!(TwitchConfig);

/// Settings of the provider: its `with:` block has no keys.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TwitchConfig {}

impl ProviderConfig for TwitchConfig {
    const NAME: &'static str = "twitch";
    const SUMMARY: &'static str = "Twitch EventSub notifications and revocations";
    const MEDIA_TYPES: &'static [&'static str] = &["application/json"];
    const KEEP_HEADERS: &'static [&'static str] = &[
        "twitch-eventsub-message-id",
        "twitch-eventsub-message-retry",
        "twitch-eventsub-message-timestamp",
        "twitch-eventsub-message-type",
        "twitch-eventsub-subscription-type",
        "twitch-eventsub-subscription-version",
    ];
    const TOLERANCE: Option<Duration> = Some(Duration::from_secs(600));
    const SAMPLES: &'static [SampleEvent] = samples::ALL;

    fn build(self, _: &BuildCx<'_>) -> Result<Arc<dyn Provider>, BuildError> {
        let scheme = Scheme::from_json(include_str!("scheme.json"))?.compile()?;
        Ok(Arc::new(Twitch { scheme }))
    }
}

#[derive(Debug)]
struct Twitch {
    scheme: CompiledScheme,
}

#[async_trait]
impl Provider for Twitch {
    fn scheme(&self) -> Option<&CompiledScheme> {
        Some(&self.scheme)
    }

    async fn verify(
        &self,
        request: &Request,
        cx: &VerifyCx<'_>,
    ) -> Result<Verification, VerifyError> {
        let secret = self.scheme.verify(request, cx)?;
        // The body is read after the signature is verified: a challenge that Twitch did not sign is
        // never returned.
        Ok(match handshake::answer(request)? {
            Some(reply) => Verification::Handshake(reply.into()),
            None => Verification::Genuine { secret },
        })
    }

    fn identify(&self, delivery: &Verified) -> Result<Vec<Identity>, IdentifyError> {
        let mut events = self.scheme.identify(delivery)?;
        if handshake::is_revocation(delivery.body()) {
            for event in &mut events {
                event.event_type = Some("revocation".to_owned());
            }
        }
        Ok(events)
    }
}
