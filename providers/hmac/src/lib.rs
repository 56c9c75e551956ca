//! Any sender whose signature can be described: an HMAC (SHA-1, SHA-256, SHA-512), a plain SHA-256,
//! an Ed25519 or ECDSA signature over a message made of parts of the request, or a token. The
//! signature is in a header, the body or the query.
//!
//! The crate adds no code: the `with:` block is the scheme grammar of `hookward-core`.
#![warn(missing_docs)]

mod samples;

use std::sync::Arc;

use hookward_core::plugin::{BuildCx, BuildError, ProviderConfig};
use hookward_core::scheme::Scheme;
use hookward_core::{Provider, SampleEvent};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

hookward_core::register_provider!(HmacConfig);

/// Settings of the provider: the `with:` block is the scheme.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct HmacConfig(pub Scheme);

impl ProviderConfig for HmacConfig {
    const NAME: &'static str = "hmac";
    const SUMMARY: &'static str =
        "Any sender that signs with an HMAC, a public key or a token, described in routes.yaml";
    const SAMPLES: &'static [SampleEvent] = samples::ALL;

    fn scheme(with: &Value) -> Option<Value> {
        Some(with.clone())
    }

    fn build(self, _: &BuildCx<'_>) -> Result<Arc<dyn Provider>, BuildError> {
        Ok(Arc::new(self.0.compile()?))
    }
}
