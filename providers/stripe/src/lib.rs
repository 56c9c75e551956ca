//! Stripe: `Stripe-Signature: t=…,v1=…` over time and body, HMAC-SHA-256.
//!
//! The provider is data: `scheme.json` describes how Stripe signs, `samples/` what it sends.
#![warn(missing_docs)]

mod samples;

use std::sync::Arc;
use std::time::Duration;

use hookward_core::plugin::{BuildCx, BuildError, ProviderConfig};
use hookward_core::scheme::Scheme;
use hookward_core::{Provider, SampleEvent};
use schemars::JsonSchema;
use serde::Deserialize;

hookward_core::register_provider!(StripeConfig);

/// Settings of the provider: its `with:` block has no keys.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StripeConfig {}

impl ProviderConfig for StripeConfig {
    const NAME: &'static str = "stripe";
    const SUMMARY: &'static str = "Stripe events, signed with the endpoint's `whsec_` secret";
    const MEDIA_TYPES: &'static [&'static str] = &["application/json"];
    const KEEP_HEADERS: &'static [&'static str] = &[];
    const TOLERANCE: Option<Duration> = Some(Duration::from_secs(300));
    const SAMPLES: &'static [SampleEvent] = samples::ALL;

    fn build(self, _: &BuildCx<'_>) -> Result<Arc<dyn Provider>, BuildError> {
        Ok(Arc::new(Scheme::from_json(include_str!("scheme.json"))?.compile()?))
    }
}
