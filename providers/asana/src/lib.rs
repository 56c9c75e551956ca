//! Asana: `X-Hook-Signature` over the body, HMAC-SHA-256, with a secret that Asana generates.
//!
//! Its signature scheme is data (`scheme.json`). The handshake, in which Asana sends the secret,
//! and the heartbeats, which are verified and contain no event, need code.
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

hookward_core::register_provider!(AsanaConfig);

/// Settings of the provider: its `with:` block has no keys.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AsanaConfig {}

impl ProviderConfig for AsanaConfig {
    const NAME: &'static str = "asana";
    const SUMMARY: &'static str = "Asana webhooks, with the secret that Asana sends at set-up";
    const MEDIA_TYPES: &'static [&'static str] = &["application/json"];
    const SECRET_FROM_HANDSHAKE: bool = true;
    const SAMPLES: &'static [SampleEvent] = samples::ALL;

    fn build(self, _: &BuildCx<'_>) -> Result<Arc<dyn Provider>, BuildError> {
        let scheme = Scheme::from_json(include_str!("scheme.json"))?.compile()?;
        Ok(Arc::new(Asana { scheme }))
    }
}

#[derive(Debug)]
struct Asana {
    scheme: CompiledScheme,
}

#[async_trait]
impl Provider for Asana {
    fn scheme(&self) -> Option<&CompiledScheme> {
        Some(&self.scheme)
    }

    fn precheck(&self, head: &Head) -> Result<(), VerifyError> {
        match handshake::offered_secret(head)? {
            Some(_) => Ok(()),
            None => self.scheme.precheck(head),
        }
    }

    async fn verify(
        &self,
        request: &Request,
        cx: &VerifyCx<'_>,
    ) -> Result<Verification, VerifyError> {
        if let Some(secret) = handshake::offered_secret(&request.head)? {
            return handshake::answer(secret, cx).map(Verification::Handshake);
        }
        let secret = self.scheme.verify(request, cx)?;
        Ok(match handshake::heartbeat(request) {
            Some(reply) => Verification::Handshake(reply.into()),
            None => Verification::Genuine { secret },
        })
    }
}
