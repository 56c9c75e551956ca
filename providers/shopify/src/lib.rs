//! Shopify: `X-Shopify-Hmac-Sha256` over the body, HMAC-SHA-256 in base64.
//!
//! Everything about it is data: `scheme.json` says how it signs, `samples/` what it sends.
#![warn(missing_docs)]

mod samples;

use std::sync::Arc;

use hookward_core::plugin::{BuildCx, BuildError, ProviderConfig};
use hookward_core::scheme::Scheme;
use hookward_core::{Provider, Sample};
use schemars::JsonSchema;
use serde::Deserialize;

hookward_core::register_provider!(ShopifyConfig);

/// The `with:` block: there is nothing to choose.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ShopifyConfig {}

impl ProviderConfig for ShopifyConfig {
    const NAME: &'static str = "shopify";
    const SUMMARY: &'static str = "Shopify webhooks, signed with the app's client secret";
    const MEDIA_TYPES: &'static [&'static str] = &["application/json"];
    const KEEP_HEADERS: &'static [&'static str] = &[
        "x-shopify-topic",
        "x-shopify-shop-domain",
        "x-shopify-webhook-id",
        "x-shopify-event-id",
        "x-shopify-api-version",
        "x-shopify-triggered-at",
    ];
    const SAMPLES: &'static [Sample] = samples::ALL;

    fn build(self, _: &BuildCx<'_>) -> Result<Arc<dyn Provider>, BuildError> {
        Ok(Arc::new(Scheme::from_json(include_str!("scheme.json"))?.compile()?))
    }
}
