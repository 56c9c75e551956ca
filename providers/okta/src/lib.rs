//! Okta event hooks: the header `Authorization` contains the agreed secret.
//!
//! This check is data (`scheme.json`). The verification of an endpoint, a GET with a challenge that
//! the reply must return as JSON, needs code.
#![warn(missing_docs)]

mod handshake;
mod samples;

use std::sync::Arc;

use async_trait::async_trait;
use hookward_core::plugin::{BuildCx, BuildError, ProviderConfig};
use hookward_core::scheme::{CompiledScheme, Scheme};
use hookward_core::{Head, Provider, Request, SampleEvent, Verification, VerifyCx, VerifyError};
use http::Method;
use schemars::JsonSchema;
use serde::Deserialize;

hookward_core::register_provider!(OktaConfig);

/// Settings of the provider: its `with:` block has no keys.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OktaConfig {}

impl ProviderConfig for OktaConfig {
    const NAME: &'static str = "okta";
    const SUMMARY: &'static str = "Okta event hooks, with the authentication secret";
    const METHODS: &'static [&'static str] = &["POST", "GET"];
    const MEDIA_TYPES: &'static [&'static str] = &["application/json"];
    const SAMPLES: &'static [SampleEvent] = samples::ALL;

    fn build(self, _: &BuildCx<'_>) -> Result<Arc<dyn Provider>, BuildError> {
        let scheme = Scheme::from_json(include_str!("scheme.json"))?.compile()?;
        Ok(Arc::new(Okta { scheme }))
    }
}

#[derive(Debug)]
struct Okta {
    scheme: CompiledScheme,
}

#[async_trait]
impl Provider for Okta {
    fn scheme(&self) -> Option<&CompiledScheme> {
        Some(&self.scheme)
    }

    fn precheck(&self, head: &Head) -> Result<(), VerifyError> {
        match head.method {
            Method::GET => handshake::answer(head).map(drop),
            _ => self.scheme.precheck(head),
        }
    }

    async fn verify(
        &self,
        request: &Request,
        cx: &VerifyCx<'_>,
    ) -> Result<Verification, VerifyError> {
        if request.head.method == Method::GET {
            return Ok(Verification::Handshake(handshake::answer(&request.head)?.into()));
        }
        let secret = self.scheme.verify(request, cx)?;
        Ok(Verification::Genuine { secret })
    }
}
