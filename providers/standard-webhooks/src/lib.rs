//! Standard Webhooks: `webhook-id`, `webhook-timestamp` and `webhook-signature: v1,…` over id, time
//! and body, HMAC-SHA-256 in base64; or `v1a,…`, Ed25519 with a public key. Svix and those who send
//! through it name the same headers `svix-*`; both families are accepted.
//!
//! Its signature scheme is data (`scheme.json`, `scheme-svix.json`, and the same for `v1a`). The
//! choice between the two families of headers needs code.
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
    /// Which headers are read: `auto` (either family), or only `webhook` or `svix`.
    #[serde(default)]
    pub headers: Headers,
    /// Which signature is verified: `v1` with a shared secret, or `v1a` with the sender's public
    /// key. Signatures of the other version are ignored.
    #[serde(default)]
    pub version: Version,
}

/// Version of the signature that is verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Version {
    /// HMAC-SHA-256 with a shared secret.
    #[default]
    V1,
    /// Ed25519 with the sender's public key.
    V1a,
}

/// Families of headers that a source accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Headers {
    /// Either family; `webhook-*` if both are complete.
    #[default]
    Auto,
    /// The headers `webhook-*` only.
    Webhook,
    /// The headers `svix-*` only.
    Svix,
}

impl ProviderConfig for StandardWebhooksConfig {
    const NAME: &'static str = "standard_webhooks";
    const SUMMARY: &'static str = "Standard Webhooks and Svix: OpenAI, Clerk, Resend and all others that follow the specification";
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
    /// Returns the scheme for the headers of a request. One family is used for verification and
    /// identification.
    fn scheme_for(&self, head: &Head) -> Result<&CompiledScheme, VerifyError> {
        let family = match self.headers {
            Headers::Auto => family::select_family(head)?,
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
