//! Standard Webhooks: `webhook-id`, `webhook-timestamp` and `webhook-signature: v1,…` over id, time
//! and body, HMAC-SHA-256 in base64; or `v1a,…`, Ed25519 under a public key. Svix and those who send
//! through it call the same headers `svix-*`; both are taken.
//!
//! Its signature scheme is data (`scheme.json`, `scheme-svix.json`, and the same for `v1a`). What needs code is choosing between the
//! two families of headers.
#![warn(missing_docs)]

mod family;
mod samples;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hookward_core::plugin::{BuildCx, BuildError, ProviderConfig};
use hookward_core::scheme::{CompiledScheme, Scheme};
use hookward_core::{
    Head, IdentifyError, Identity, Provider, Request, SampleEvent, Signer, Verification, Verified,
    VerifyCx, VerifyError,
};
use schemars::JsonSchema;
use serde::Deserialize;

use family::Family;

hookward_core::register_provider!(StandardWebhooksConfig);

/// Settings of the provider: the keys of its `with:` block.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StandardWebhooksConfig {
    /// Which headers to look at: `auto` (either family), `webhook` or `svix` alone.
    #[serde(default)]
    pub headers: Headers,
    /// Which signature is checked: `v1` under a shared secret, or `v1a` under the sender's public key. One
    /// of the other version beside it is passed over.
    #[serde(default)]
    pub version: Version,
}

/// A version of the signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Version {
    /// HMAC-SHA-256.
    #[default]
    V1,
    /// Ed25519.
    V1a,
}

/// Which headers to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Headers {
    /// Either family.
    #[default]
    Auto,
    /// `webhook-*` alone.
    Webhook,
    /// `svix-*` alone.
    Svix,
}

impl ProviderConfig for StandardWebhooksConfig {
    const NAME: &'static str = "standard_webhooks";
    const SUMMARY: &'static str =
        "Standard Webhooks and Svix: OpenAI, Clerk, Resend and everyone else who signs so";
    const KEEP_HEADERS: &'static [&'static str] =
        &["webhook-id", "webhook-timestamp", "svix-id", "svix-timestamp"];
    const TOLERANCE: Option<Duration> = Some(Duration::from_secs(300));
    const SAMPLES: &'static [SampleEvent] = samples::ALL;

    fn build(self, _: &BuildCx<'_>) -> Result<Arc<dyn Provider>, BuildError> {
        let (webhook, svix) = match self.version {
            Version::V1 => (include_str!("scheme.json"), include_str!("scheme-svix.json")),
            Version::V1a => (include_str!("scheme-v1a.json"), include_str!("scheme-svix-v1a.json")),
        };
        Ok(Arc::new(StandardWebhooks {
            headers: self.headers,
            version: self.version,
            webhook: Scheme::from_json(webhook)?.compile()?,
            svix: Scheme::from_json(svix)?.compile()?,
        }))
    }
}

#[derive(Debug)]
struct StandardWebhooks {
    headers: Headers,
    version: Version,
    webhook: CompiledScheme,
    svix: CompiledScheme,
}

impl StandardWebhooks {
    /// The scheme for the headers of this request. One family is used for all of it.
    fn scheme_for(&self, head: &Head) -> Result<&CompiledScheme, VerifyError> {
        let family = match self.headers {
            Headers::Auto => family::choose(head)?,
            Headers::Webhook => Family::Webhook,
            Headers::Svix => Family::Svix,
        };
        Ok(match family {
            Family::Webhook => &self.webhook,
            Family::Svix => &self.svix,
        })
    }
}

#[async_trait]
impl Provider for StandardWebhooks {
    fn scheme(&self) -> Option<&CompiledScheme> {
        Some(&self.webhook)
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

    fn signer(&self) -> Option<&dyn Signer> {
        match (self.version, self.headers) {
            (Version::V1a, _) => None,
            (Version::V1, Headers::Svix) => Some(&self.svix),
            (Version::V1, _) => Some(&self.webhook),
        }
    }
}
