//! GitHub: `X-Hub-Signature-256` over the body, HMAC-SHA-256. The older SHA-1 header is verified
//! only if the configuration selects it.
//!
//! Its signature scheme is data (`scheme.json`, `scheme-sha1.json`). The warning about SHA-1 needs
//! code.
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

hookward_core::register_provider!(GithubConfig);

/// Settings of the provider: the keys of its `with:` block.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GithubConfig {
    /// Which signature is verified: `sha256`, or the older `sha1` for servers that send no other.
    #[serde(default)]
    pub scheme: SignatureHash,
}

/// Hash function of the signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum SignatureHash {
    /// HMAC-SHA-256, in the header `X-Hub-Signature-256`.
    #[default]
    Sha256,
    /// HMAC-SHA-1, in the header `X-Hub-Signature`.
    Sha1,
}

/// The header with the number of the webhook or App that delivers.
const HOOK_ID_HEADER: &str = "x-github-hook-id";

impl ProviderConfig for GithubConfig {
    const NAME: &'static str = "github";
    const SUMMARY: &'static str = "GitHub webhooks of repositories, organisations and apps";
    const MEDIA_TYPES: &'static [&'static str] =
        &["application/json", "application/x-www-form-urlencoded"];
    const KEEP_HEADERS: &'static [&'static str] = &[
        "x-github-event",
        "x-github-delivery",
        "x-github-hook-id",
        "x-github-hook-installation-target-type",
        "x-github-hook-installation-target-id",
        "x-github-enterprise-host",
    ];
    const SAMPLES: &'static [SampleEvent] = samples::ALL;

    fn build(self, _: &BuildCx<'_>) -> Result<Arc<dyn Provider>, BuildError> {
        let text = match self.scheme {
            SignatureHash::Sha256 => include_str!("scheme.json"),
            SignatureHash::Sha1 => include_str!("scheme-sha1.json"),
        };
        let scheme = Scheme::from_json(text)?.compile()?;
        Ok(Arc::new(Github { hash: self.scheme, scheme }))
    }
}

#[derive(Debug)]
struct Github {
    hash: SignatureHash,
    scheme: CompiledScheme,
}

#[async_trait]
impl Provider for Github {
    fn scheme(&self) -> Option<&CompiledScheme> {
        Some(&self.scheme)
    }

    /// With the content type `application/x-www-form-urlencoded` GitHub sends the JSON as the field
    /// `payload`, and signs the form (docs.github.com, "Webhook events and payloads").
    fn form_json_field(&self) -> Option<&'static str> {
        Some("payload")
    }

    fn precheck(&self, head: &Head) -> Result<(), VerifyError> {
        self.scheme.precheck(head)?;
        head.single(HOOK_ID_HEADER).map(drop)
    }

    async fn verify(
        &self,
        request: &Request,
        cx: &VerifyCx<'_>,
    ) -> Result<Verification, VerifyError> {
        request.head.single(HOOK_ID_HEADER)?;
        let secret = self.scheme.verify(request, cx)?;
        Ok(Verification::Genuine { secret })
    }

    /// The delivery id names an event and not a delivery: two Apps, or an App and a webhook of the
    /// repository, get the same one
    /// (<https://docs.github.com/en/webhooks/webhook-events-and-payloads#delivery-headers>). So it
    /// is unique only within the hook.
    fn identify(&self, delivery: &Verified) -> Result<Vec<Identity>, IdentifyError> {
        let hook = delivery.header(HOOK_ID_HEADER).filter(|hook| !hook.is_empty());
        let mut events = self.scheme.identify(delivery)?;
        for event in &mut events {
            event.scope = hook.map(str::to_owned);
            event.names_are_signed = false;
        }
        Ok(events)
    }

    fn config_warnings(&self) -> Vec<String> {
        match self.hash {
            SignatureHash::Sha256 => Vec::new(),
            SignatureHash::Sha1 => vec![
                "GitHub keeps the SHA-1 signature only for old receivers; set `scheme: sha256` \
                 if it sends `X-Hub-Signature-256`"
                    .to_owned(),
            ],
        }
    }
}
