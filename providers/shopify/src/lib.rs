//! Shopify: `X-Shopify-Hmac-Sha256` over the body, HMAC-SHA-256 in base64; the newer "events" have
//! the same signature in `shopify-hmac-sha256`.
//!
//! Its signature schemes are data (`scheme.json`, `scheme-events.json`). The choice between the two
//! families of headers needs code.
#![warn(missing_docs)]

mod samples;

use std::sync::Arc;

use async_trait::async_trait;
use hookward_core::plugin::{BuildCx, BuildError, ProviderConfig};
use hookward_core::scheme::{CompiledScheme, Scheme};
use hookward_core::{
    Head, IdentifyError, Identity, Provider, Request, SampleEvent, Verification, Verified,
    VerifyCx, VerifyError,
};
use schemars::JsonSchema;
use serde::Deserialize;

hookward_core::register_provider!(ShopifyConfig);

/// Settings of the provider: the keys of its `with:` block.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ShopifyConfig {
    /// Which headers are read: `auto` (`shopify-*` if their signature is there, else
    /// `X-Shopify-*`), or only `webhooks` (`X-Shopify-*`) or `events` (`shopify-*`).
    #[serde(default)]
    pub scheme: HeaderFamily,
}

/// Families of headers that a source accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum HeaderFamily {
    /// The headers of events if their signature is there, else those of webhooks, as in Shopify's
    /// own library.
    #[default]
    Auto,
    /// The headers `X-Shopify-*` of webhooks only.
    Webhooks,
    /// The headers `shopify-*` of events only.
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
        Ok(Arc::new(Shopify {
            family: self.scheme,
            webhooks: Scheme::from_json(include_str!("scheme.json"))?.compile()?,
            events: Scheme::from_json(include_str!("scheme-events.json"))?.compile()?,
        }))
    }
}

/// The header with the signature of an event.
const EVENTS_SIGNATURE_HEADER: &str = "shopify-hmac-sha256";

#[derive(Debug)]
struct Shopify {
    family: HeaderFamily,
    webhooks: CompiledScheme,
    events: CompiledScheme,
}

impl Shopify {
    /// Returns the scheme for the headers of a request. One family is used for verification and
    /// identification.
    fn scheme_for(&self, head: &Head) -> Result<&CompiledScheme, VerifyError> {
        let is_event = match self.family {
            HeaderFamily::Auto => {
                head.single(EVENTS_SIGNATURE_HEADER)?.is_some_and(|value| !value.is_empty())
            }
            HeaderFamily::Webhooks => false,
            HeaderFamily::Events => true,
        };
        Ok(if is_event { &self.events } else { &self.webhooks })
    }
}

#[async_trait]
impl Provider for Shopify {
    fn scheme(&self) -> Option<&CompiledScheme> {
        match self.family {
            HeaderFamily::Events => Some(&self.events),
            HeaderFamily::Auto | HeaderFamily::Webhooks => Some(&self.webhooks),
        }
    }

    fn precheck(&self, head: &Head) -> Result<(), VerifyError> {
        self.scheme_for(head)?.precheck(head)
    }

    async fn verify(
        &self,
        request: &Request,
        cx: &VerifyCx<'_>,
    ) -> Result<Verification, VerifyError> {
        let secret = self.scheme_for(&request.head)?.verify(request, cx)?;
        Ok(Verification::Genuine { secret })
    }

    fn identify(&self, delivery: &Verified) -> Result<Vec<Identity>, IdentifyError> {
        let scheme = self.scheme_for(delivery.head());
        scheme.map_err(|e| IdentifyError::new(e.to_string()))?.identify(delivery)
    }
}
