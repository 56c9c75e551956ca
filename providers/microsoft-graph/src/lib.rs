//! Microsoft Graph change notifications: every item of a delivery contains the agreed
//! `clientState`.
//!
//! This scheme is data (`scheme.json`). The validation of an endpoint, and the tokens of
//! notifications that contain the resource itself, need code.
#![warn(missing_docs)]

mod handshake;
mod samples;
mod validation_tokens;

use std::sync::Arc;

use async_trait::async_trait;
use hookward_core::plugin::{BuildCx, BuildError, ProviderConfig};
use hookward_core::scheme::{CompiledScheme, OneOrMore, Scheme};
use hookward_core::{
    Body, EventDraft, Head, IdentifyError, Identity, Provider, Request, SampleEvent, Secret,
    SignError, Signer, Verification, Verified, VerifyCx, VerifyError,
};
use http::{HeaderMap, HeaderValue, Method, header};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use validation_tokens::Publisher;

hookward_core::register_provider!(MicrosoftGraphConfig);

/// Settings of the provider: the keys of its `with:` block.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MicrosoftGraphConfig {
    /// What verifies a delivery: `client_state` (the default without `audience`), or
    /// `validation_tokens`, with which notifications that contain the resource itself also need
    /// Microsoft's tokens for your application.
    #[serde(default)]
    pub scheme: Option<SchemeChoice>,
    /// With `validation_tokens`: the ids of the applications (clients) that subscribe.
    #[serde(default)]
    pub audience: Option<OneOrMore>,
    /// With `validation_tokens`: the ids of the directories (tenants) that are expected; without
    /// this key, any.
    #[serde(default)]
    pub tenant: Option<OneOrMore>,
}

/// What verifies a delivery of the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum SchemeChoice {
    // The variants have no doc comments, so that the JSON Schema lists them as one enumeration.
    #[allow(missing_docs, reason = "described at the key")]
    ClientState,
    #[allow(missing_docs, reason = "described at the key")]
    ValidationTokens,
}

impl ProviderConfig for MicrosoftGraphConfig {
    const NAME: &'static str = "microsoft_graph";
    const SUMMARY: &'static str = "Microsoft Graph change and lifecycle notifications";
    const MEDIA_TYPES: &'static [&'static str] = &["application/json", "text/plain"];
    const SAMPLES: &'static [SampleEvent] = samples::ALL;

    fn build(self, _: &BuildCx<'_>) -> Result<Arc<dyn Provider>, BuildError> {
        let scheme = Scheme::from_json(include_str!("scheme.json"))?.compile()?;
        let list = |texts: Option<OneOrMore>| texts.map(|t| t.0).unwrap_or_default();
        let (audiences, tenants) = (list(self.audience), list(self.tenant));
        let default_scheme = if audiences.is_empty() {
            SchemeChoice::ClientState
        } else {
            SchemeChoice::ValidationTokens
        };
        let publisher = match self.scheme.unwrap_or(default_scheme) {
            SchemeChoice::ClientState if !(audiences.is_empty() && tenants.is_empty()) => {
                let message = "`audience` and `tenant` need `scheme: validation_tokens`";
                return Err(BuildError::at("", message));
            }
            SchemeChoice::ClientState => None,
            SchemeChoice::ValidationTokens => Some(Publisher::new(audiences, tenants)?),
        };
        Ok(Arc::new(MicrosoftGraph { scheme, publisher }))
    }
}

#[derive(Debug)]
struct MicrosoftGraph {
    scheme: CompiledScheme,
    publisher: Option<Publisher>,
}

#[async_trait]
impl Provider for MicrosoftGraph {
    fn scheme(&self) -> Option<&CompiledScheme> {
        Some(&self.scheme)
    }

    fn precheck(&self, head: &Head) -> Result<(), VerifyError> {
        match handshake::answer(head)? {
            Some(_) => Ok(()),
            None => self.scheme.precheck(head),
        }
    }

    async fn verify(
        &self,
        request: &Request,
        cx: &VerifyCx<'_>,
    ) -> Result<Verification, VerifyError> {
        if let Some(reply) = handshake::answer(&request.head)? {
            return Ok(Verification::Handshake(reply.into()));
        }
        let secret = self.scheme.verify(request, cx)?;
        // The secret is checked first, so that strangers cannot cause requests for Microsoft's
        // keys.
        if let Some(publisher) = &self.publisher {
            let body = request.body.json_for_proof().map_err(VerifyError::unreadable_proof)?;
            publisher.verify(body.value(), cx).await?;
        }
        Ok(Verification::Genuine { secret })
    }

    /// SharePoint's notifications name no kind of change: their type is `event`.
    fn identify(&self, delivery: &Verified) -> Result<Vec<Identity>, IdentifyError> {
        let mut events = self.scheme.identify(delivery)?;
        for event in &mut events {
            event.event_type.get_or_insert_with(|| "event".to_owned());
        }
        Ok(events)
    }

    /// Two changes of the same resource may have the same bytes, so equal content is no duplicate.
    fn dedupe_by_content(&self) -> bool {
        false
    }

    fn signer(&self) -> Option<&dyn Signer> {
        if self.publisher.is_none() { Some(self) } else { None }
    }
}

/// Puts the agreed `clientState` into every item of the body.
impl Signer for MicrosoftGraph {
    fn sign(&self, draft: &EventDraft, secret: &Secret) -> Result<Request, SignError> {
        let fail = || SignError::new("the body has no array `value` of objects".to_owned());
        let mut body = draft.body.json().map_err(|_| fail())?.clone();
        let items = body.get_mut("value").and_then(Value::as_array_mut).ok_or_else(fail)?;
        for item in items {
            let item = item.as_object_mut().ok_or_else(fail)?;
            item.insert("clientState".to_owned(), json!(secret.expose()));
        }
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let target = draft.target().to_owned();
        let head = Head::new(Method::POST, target, headers);
        Ok(Request::new(head, Body::from_json(body)))
    }
}
