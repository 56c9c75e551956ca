//! Meta: `X-Hub-Signature-256` over the body, HMAC-SHA-256, for Facebook, Instagram, Messenger and
//! WhatsApp.
//!
//! Its signature scheme is data (`scheme.json`). The verification of an endpoint needs code: a GET
//! with the agreed verify token and a challenge that the reply must return.
#![warn(missing_docs)]

mod handshake;
mod samples;

use std::sync::Arc;

use async_trait::async_trait;
use hookward_core::plugin::{BuildCx, BuildError, ProviderConfig};
use hookward_core::scheme::{CompiledScheme, Scheme};
use hookward_core::{
    Head, Provider, Request, SampleEvent, Secret, Verification, VerifyCx, VerifyError,
};
use http::Method;
use schemars::JsonSchema;
use serde::Deserialize;

hookward_core::register_provider!(MetaConfig);

/// Settings of the provider: the keys of its `with:` block.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MetaConfig {
    /// The Verify Token that you gave to Meta together with the callback URL. Without this key the
    /// app secret is expected instead.
    #[serde(default)]
    pub verify_token: Option<Secret>,
}

impl ProviderConfig for MetaConfig {
    const NAME: &'static str = "meta";
    const SUMMARY: &'static str = "Meta webhooks: Facebook, Instagram, Messenger and WhatsApp";
    const METHODS: &'static [&'static str] = &["POST", "GET"];
    const MEDIA_TYPES: &'static [&'static str] = &["application/json"];
    const SAMPLES: &'static [SampleEvent] = samples::ALL;

    fn build(self, _: &BuildCx<'_>) -> Result<Arc<dyn Provider>, BuildError> {
        if self.verify_token.as_ref().is_some_and(|token| token.expose().is_empty()) {
            return Err(BuildError::at(
                "/verify_token",
                "the verify token is empty; write the text that Meta has, or remove the key",
            ));
        }
        let scheme = Scheme::from_json(include_str!("scheme.json"))?.compile()?;
        Ok(Arc::new(Meta { scheme, verify_token: self.verify_token }))
    }
}

#[derive(Debug)]
struct Meta {
    scheme: CompiledScheme,
    verify_token: Option<Secret>,
}

#[async_trait]
impl Provider for Meta {
    fn scheme(&self) -> Option<&CompiledScheme> {
        Some(&self.scheme)
    }

    fn precheck(&self, head: &Head) -> Result<(), VerifyError> {
        match head.method {
            Method::GET => handshake::parse(head).map(drop),
            _ => self.scheme.precheck(head),
        }
    }

    async fn verify(
        &self,
        request: &Request,
        cx: &VerifyCx<'_>,
    ) -> Result<Verification, VerifyError> {
        if request.head.method == Method::GET {
            let verification = handshake::parse(&request.head)?;
            let reply = handshake::answer(verification, self.verify_token.as_ref(), cx);
            return Ok(Verification::Handshake(reply.into()));
        }
        let secret = self.scheme.verify(request, cx)?;
        Ok(Verification::Genuine { secret })
    }

    fn config_warnings(&self) -> Vec<String> {
        let shared = self.verify_token.is_none().then(|| {
            "the app secret is also the verify token, which is sent in URLs and so gets into logs; set \
             `with: { verify_token: … }` to another text"
                .to_owned()
        });
        shared.into_iter().collect()
    }
}
