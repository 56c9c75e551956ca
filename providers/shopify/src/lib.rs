//! Shopify: `X-Shopify-Hmac-Sha256` over the body, HMAC-SHA-256 in base64; the newer "events" have
//! the same signature in `shopify-hmac-sha256`.
//!
//! The provider is data: `scheme.json` and `scheme-events.json` describe how Shopify signs,
//! `samples/` what it sends.
#![warn(missing_docs)]

mod samples;

use std::sync::Arc;

use hookward_core::plugin::{BuildCx, BuildError, ProviderConfig};
use hookward_core::scheme::Scheme;
use hookward_core::{Provider, SampleEvent};
use schemars::JsonSchema;
use serde::Deserialize;

hookward_core::register_provider!(ShopifyConfig);

/// Settings of the provider: the keys of its `with:` block.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ShopifyConfig {
    /// Which headers are read: `webhooks` (`X-Shopify-*`) or `events` (`shopify-*`).
    #[serde(default)]
    pub scheme: HeaderFamily,
}

/// Family of headers that a delivery uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum HeaderFamily {
    /// The headers `X-Shopify-*` of webhooks.
    #[default]
    Webhooks,
    /// The headers `shopify-*` of events.
    Events,
}

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
        "x-shopify-sub-topic",
        "x-shopify-name",
        "shopify-topic",
        "shopify-action",
        "shopify-shop-domain",
        "shopify-webhook-id",
        "shopify-event-id",
        "shopify-api-version",
        "shopify-handle",
        "shopify-resource-id",
        "shopify-triggered-at",
    ];
    const SAMPLES: &'static [SampleEvent] = samples::ALL;

    fn build(self, _: &BuildCx<'_>) -> Result<Arc<dyn Provider>, BuildError> {
        let text = match self.scheme {
            HeaderFamily::Webhooks => include_str!("scheme.json"),
            HeaderFamily::Events => include_str!("scheme-events.json"),
        };
        Ok(Arc::new(Scheme::from_json(text)?.compile()?))
    }
}
