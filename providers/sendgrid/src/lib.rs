//! SendGrid's Event Webhook: ECDSA over time and body, and, if OAuth is turned on, also a bearer
//! token. A delivery is an array of events.
//!
//! Its signature scheme is data (`scheme.json`). The token, which SendGrid obtains from your
//! authorization server, needs code.
#![warn(missing_docs)]

mod oauth;
mod samples;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hookward_core::plugin::{BuildCx, BuildError, ProviderConfig};
use hookward_core::scheme::{CompiledScheme, Scheme};
use hookward_core::{Head, Provider, Request, SampleEvent, Verification, VerifyCx, VerifyError};
use schemars::JsonSchema;
use serde::Deserialize;

use oauth::{Oauth, OauthConfig};

hookward_core::register_provider!(SendgridConfig);

/// What verifies a request of the source.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum SchemeChoice {
    /// Only the signature over time and body.
    #[default]
    Signature,
    /// Both the signature and the bearer token.
    Oauth,
}

/// Settings of the provider: the keys of its `with:` block.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SendgridConfig {
    /// `signature`, or `oauth` for the signature and the bearer token.
    #[serde(default)]
    scheme: SchemeChoice,
    /// With `scheme: oauth`: the authorization server whose tokens SendGrid presents.
    #[serde(default)]
    oauth: Option<OauthConfig>,
}

impl ProviderConfig for SendgridConfig {
    const NAME: &'static str = "sendgrid";
    const SUMMARY: &'static str = "SendGrid Event Webhook, one event per item";
    const MEDIA_TYPES: &'static [&'static str] = &["application/json"];
    const TOLERANCE: Option<Duration> = None;
    const SAMPLES: &'static [SampleEvent] = samples::ALL;

    fn build(self, _: &BuildCx<'_>) -> Result<Arc<dyn Provider>, BuildError> {
        let scheme = Scheme::from_json(include_str!("scheme.json"))?.compile()?;
        let oauth = match (self.scheme, self.oauth) {
            (SchemeChoice::Signature, None) => None,
            (SchemeChoice::Oauth, Some(config)) => Some(config.build()?),
            (SchemeChoice::Signature, Some(_)) => {
                let text = "`oauth` is set without `scheme: oauth`";
                return Err(
                    BuildError::at("/oauth", text).help("set `scheme: oauth`, or remove `oauth`")
                );
            }
            (SchemeChoice::Oauth, None) => {
                let help = "set `oauth: { issuer: …, audience: …, jwks_url: … }`";
                let text = "`scheme: oauth` needs the authorization server of the tokens";
                return Err(BuildError::at("/scheme", text).help(help));
            }
        };
        Ok(Arc::new(Sendgrid { scheme, oauth }))
    }
}

#[derive(Debug)]
struct Sendgrid {
    scheme: CompiledScheme,
    oauth: Option<Oauth>,
}

#[async_trait]
impl Provider for Sendgrid {
    fn scheme(&self) -> Option<&CompiledScheme> {
        Some(&self.scheme)
    }

    fn precheck(&self, head: &Head) -> Result<(), VerifyError> {
        self.scheme.precheck(head)?;
        self.oauth.as_ref().map_or(Ok(()), |oauth| oauth.precheck(head))
    }

    async fn verify(
        &self,
        request: &Request,
        cx: &VerifyCx<'_>,
    ) -> Result<Verification, VerifyError> {
        self.precheck(&request.head)?;
        // The signature is verified first: it needs no request for keys.
        let secret = self.scheme.verify(request, cx)?;
        if let Some(oauth) = &self.oauth {
            oauth.verify(&request.head, cx).await?;
        }
        Ok(Verification::Genuine { secret })
    }
}
