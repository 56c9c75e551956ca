//! Trello: `X-Trello-Webhook` over the body and the callback URL, HMAC-SHA-1.
//!
//! Its signature scheme is data (`scheme.json`). The HEAD request by which Trello validates a
//! callback URL when a webhook is created needs code.
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

hookward_core::register_provider!(TrelloConfig);

/// Settings of the provider: its `with:` block has no keys.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrelloConfig {}

impl ProviderConfig for TrelloConfig {
    const NAME: &'static str = "trello";
    const SUMMARY: &'static str = "Trello webhooks; needs `server.public_url`";
    const METHODS: &'static [&'static str] = &["POST", "HEAD", "GET"];
    const MEDIA_TYPES: &'static [&'static str] = &["application/json"];
    const SAMPLES: &'static [SampleEvent] = samples::ALL;

    fn build(self, _: &BuildCx<'_>) -> Result<Arc<dyn Provider>, BuildError> {
        let scheme = Scheme::from_json(include_str!("scheme.json"))?.compile()?;
        Ok(Arc::new(Trello { scheme }))
    }
}

#[derive(Debug)]
struct Trello {
    scheme: CompiledScheme,
}

#[async_trait]
impl Provider for Trello {
    fn scheme(&self) -> Option<&CompiledScheme> {
        Some(&self.scheme)
    }

    fn precheck(&self, head: &Head) -> Result<(), VerifyError> {
        match handshake::answer(head) {
            Some(_) => Ok(()),
            None => self.scheme.precheck(head),
        }
    }

    async fn verify(
        &self,
        request: &Request,
        cx: &VerifyCx<'_>,
    ) -> Result<Verification, VerifyError> {
        if let Some(reply) = handshake::answer(&request.head) {
            return Ok(Verification::Handshake(reply.into()));
        }
        let secret = self.scheme.verify(request, cx)?;
        Ok(Verification::Genuine { secret })
    }
}
