//! SendGrid's Event Webhook: ECDSA over time and body, and, where OAuth is turned on, a bearer token
//! besides it. A delivery is an array of events.
//!
//! Its signature scheme is data (`scheme.json`). What needs code is the token, which SendGrid gets from an
//! authorization server of yours.
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

/// What has to be right about a request.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum SchemeChoice {
    /// The signature.
    #[default]
    Signature,
    /// The signature and the bearer token.
    Oauth,
}

/// Settings of the provider: the keys of its `with:` block.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SendgridConfig {
    /// `signature`, or `oauth` for the bearer token besides it.
    #[serde(default)]
    scheme: SchemeChoice,
    /// With `scheme: oauth`: whose tokens SendGrid presents.
    #[serde(default)]
    oauth: Option<OauthConfig>,
}

impl ProviderConfig for SendgridConfig {
    const NAME: &'static str = "sendgrid";
    const SUMMARY: &'static str = "SendGrid Event Webhook, one event per item";
    const MEDIA_TYPES: &'static [&'static str] = &["application/json"];
    const TOLERANCE: Option<Duration> = Some(Duration::from_secs(300));
    const SAMPLES: &'static [SampleEvent] = samples::ALL;

    fn build(self, _: &BuildCx<'_>) -> Result<Arc<dyn Provider>, BuildError> {
        let scheme = Scheme::from_json(include_str!("scheme.json"))?.compile()?;
        let oauth = match (self.scheme, self.oauth) {
            (SchemeChoice::Signature, None) => None,
            (SchemeChoice::Oauth, Some(config)) => Some(config.build()?),
            (SchemeChoice::Signature, Some(_)) => {
                let text = "`oauth` is given and `scheme` does not ask for it";
                return Err(BuildError::at("/oauth", text).help("set `scheme: oauth`"));
            }
            (SchemeChoice::Oauth, None) => {
                let help = "set `oauth: { issuer: …, audience: …, jwks_url: … }`";
                let text = "`scheme: oauth` needs to know whose tokens are right";
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
        // The signature first: it costs no look-up of keys.
        let secret = self.scheme.verify(request, cx)?;
        if let Some(oauth) = &self.oauth {
            oauth.verify(&request.head, cx).await?;
        }
        Ok(Verification::Genuine { secret })
    }
}
