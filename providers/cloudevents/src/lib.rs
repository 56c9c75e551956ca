//! CloudEvents over HTTP, from senders that follow the specification of web hooks: an OPTIONS
//! request asks for permission, and deliveries carry a token, as `Authorization: Bearer` or
//! `?access_token=`.
//!
//! Events have one of three modes: the attributes are in the JSON body, in `ce-` headers, or in a
//! batch.
#![warn(missing_docs)]

mod handshake;
mod mode;
mod samples;
mod token;

use std::sync::Arc;

use async_trait::async_trait;
use hookward_core::plugin::{BuildCx, BuildError, ProviderConfig};
use hookward_core::{
    EventDraft, Head, IdentifyError, Identity, Provider, Receipt, Reply, Request, RequestPart,
    SampleEvent, Secret, SecretError, SignError, Signer, Verification, Verified, VerifyCx,
    VerifyError,
};
use http::{HeaderValue, Method, StatusCode, header};
use schemars::JsonSchema;
use serde::Deserialize;

use handshake::Permission;
use token::Token;

hookward_core::register_provider!(CloudEventsConfig);

/// Settings of the provider: the keys of its `with:` block.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CloudEventsConfig {
    /// The origins that may send: host names as in `WebHook-Request-Origin`, or `*` for every
    /// origin. Without this key no origin is permitted, and only senders that do not ask can
    /// deliver.
    #[serde(default)]
    pub origins: Vec<String>,
    /// Permitted requests per minute. Without this key, the rate that the sender requests.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub rate: Option<u32>,
}

impl ProviderConfig for CloudEventsConfig {
    const NAME: &'static str = "cloudevents";
    const SUMMARY: &'static str =
        "CloudEvents with a bearer token, structured, binary or in batches";
    const METHODS: &'static [&'static str] = &["POST", "OPTIONS"];
    const KEEP_HEADERS: &'static [&'static str] = &[
        "ce-id",
        "ce-source",
        "ce-specversion",
        "ce-type",
        "ce-subject",
        "ce-time",
        "ce-dataschema",
    ];
    const SAMPLES: &'static [SampleEvent] = samples::ALL;

    fn build(self, _: &BuildCx<'_>) -> Result<Arc<dyn Provider>, BuildError> {
        let permission = Permission::new(self.origins, self.rate)?;
        Ok(Arc::new(CloudEvents { permission, token: Token::new()? }))
    }
}

#[derive(Debug)]
struct CloudEvents {
    permission: Permission,
    token: Token,
}

#[async_trait]
impl Provider for CloudEvents {
    fn precheck(&self, head: &Head) -> Result<(), VerifyError> {
        match head.method {
            Method::OPTIONS => self.permission.answer(head).map(drop),
            _ => self.token.precheck(head).and_then(|()| mode::precheck(head)),
        }
    }

    async fn verify(
        &self,
        request: &Request,
        cx: &VerifyCx<'_>,
    ) -> Result<Verification, VerifyError> {
        if request.head.method == Method::OPTIONS {
            let reply = self.permission.answer(&request.head)?;
            return Ok(Verification::Handshake(reply.into()));
        }
        self.precheck(&request.head)?;
        let secret = self.token.verify(request, cx)?;
        Ok(Verification::Genuine { secret })
    }

    /// 202 without a body: the delivery is accepted and not processed yet (HTTP 1.1 Web Hooks for
    /// Event Delivery, section 2.2, <https://github.com/cloudevents/spec/blob/main/cloudevents/http-webhook.md>).
    /// A broker reads a body as an event in reply: Knative Eventing answers any other body with
    /// an error and delivers again.
    fn reply(&self, _: &Verified, _: &Receipt) -> Reply {
        Reply::empty(StatusCode::ACCEPTED)
    }

    fn identify(&self, delivery: &Verified) -> Result<Vec<Identity>, IdentifyError> {
        mode::identify(delivery)
    }

    /// The token covers no byte more than another; its attributes count as the sender's words
    /// wherever they are.
    fn signs(&self, part: RequestPart<'_>) -> bool {
        match part {
            RequestPart::Header(name) => name.starts_with("ce-"),
            _ => true,
        }
    }

    fn is_valid_indefinitely(&self) -> bool {
        false
    }

    fn check_secret(&self, secret: &Secret) -> Result<(), SecretError> {
        self.token.check_secret(secret)
    }

    fn config_warnings(&self) -> Vec<String> {
        self.permission.config_warnings()
    }

    fn signer(&self) -> Option<&dyn Signer> {
        Some(self)
    }
}

/// Samples are whole events, so they are sent in structured mode.
impl Signer for CloudEvents {
    fn sign(&self, draft: &EventDraft, secret: &Secret) -> Result<Request, SignError> {
        let mut request = self.token.sign(draft, secret)?;
        let structured = HeaderValue::from_static("application/cloudevents+json");
        request.head.headers.insert(header::CONTENT_TYPE, structured);
        Ok(request)
    }
}
