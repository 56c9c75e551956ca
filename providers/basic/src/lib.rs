//! Senders that present a user and a password as `Authorization: Basic` and sign nothing. The
//! `with:` block says where type and id of an event are.
#![warn(missing_docs)]

mod credentials;
mod samples;

use std::sync::Arc;

use async_trait::async_trait;
use hookward_core::crypto::Encoding;
use hookward_core::plugin::{BuildCx, BuildError, ProviderConfig};
use hookward_core::scheme::{FieldLocation, IdentityRules, OneOrMore};
use hookward_core::{
    EventDraft, Head, IdentifyError, Identity, Provider, Request, RequestPart, SampleEvent, Secret,
    SecretError, SignError, Signer, Verification, Verified, VerifyCx, VerifyError,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use schemars::JsonSchema;
use serde::Deserialize;

hookward_core::register_provider!(BasicConfig);

/// Settings of the provider: the keys of its `with:` block.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BasicConfig {
    /// The user; the secrets are then passwords. Without this key a secret is `user:password`.
    #[serde(default)]
    pub user: Option<String>,
    /// Where the event type is: `/pointer` into the body, `header:NAME` or `form:FIELD`; of
    /// several, the first that is present. Without this key every event has the type `event`.
    #[serde(default)]
    pub event_type: Option<OneOrMore>,
    /// Where the event id is, in the same notation as `event_type`.
    #[serde(default)]
    pub event_id: Option<OneOrMore>,
    /// Where the array of events is, for senders that batch: a pointer, or `""` for the whole body.
    /// Pointers of `event_type` and `event_id` then start at the item; `^/pointer` starts at the
    /// body.
    #[serde(default)]
    pub batch: Option<String>,
}

impl ProviderConfig for BasicConfig {
    const NAME: &'static str = "basic";
    const SUMMARY: &'static str = "Any sender that presents a user and a password (HTTP Basic)";
    const SAMPLES: &'static [SampleEvent] = samples::ALL;

    fn build(self, _: &BuildCx<'_>) -> Result<Arc<dyn Provider>, BuildError> {
        if self.user.as_ref().is_some_and(|user| user.is_empty() || user.contains(':')) {
            return Err(BuildError::at(
                "/user",
                "the user is empty or contains a colon; write a user without a colon",
            ));
        }
        let identity_rules = IdentityRules::new(self.event_type, self.event_id, self.batch)?;
        Ok(Arc::new(Basic { user: self.user, identity_rules }))
    }
}

#[derive(Debug)]
struct Basic {
    user: Option<String>,
    identity_rules: IdentityRules,
}

impl Basic {
    /// Returns a secret as `user:password`.
    fn credentials(&self, secret: &Secret) -> Secret {
        match &self.user {
            Some(user) => Secret::new(format!("{user}:{}", secret.expose())),
            None => secret.clone(),
        }
    }
}

#[async_trait]
impl Provider for Basic {
    fn precheck(&self, head: &Head) -> Result<(), VerifyError> {
        credentials::from_header(head)?;
        self.identity_rules.precheck(head)
    }

    async fn verify(
        &self,
        request: &Request,
        cx: &VerifyCx<'_>,
    ) -> Result<Verification, VerifyError> {
        self.precheck(&request.head)?;
        let given = credentials::from_header(&request.head)?;
        let matches = |secret: &Secret| credentials::matches(&given, &self.credentials(secret));
        let found = cx.secrets.iter().find(|(_, secret)| matches(secret));
        let (secret, _) = found.ok_or(VerifyError::InvalidSignature)?;
        Ok(Verification::Genuine { secret })
    }

    fn proves_any_method(&self) -> bool {
        true
    }

    fn identify(&self, delivery: &Verified) -> Result<Vec<Identity>, IdentifyError> {
        // As with any token, fields of the body count as signed and headers do not.
        self.identity_rules
            .identify(delivery, |address| !matches!(address, FieldLocation::Header(_)))
    }

    fn signs(&self, part: RequestPart<'_>) -> bool {
        match part {
            RequestPart::Body => true,
            RequestPart::EventType => self.identity_rules.type_header().is_none(),
            RequestPart::EventId => self.identity_rules.id_header().is_none(),
            _ => false,
        }
    }

    /// Whoever captured the password needs no captured request.
    fn is_valid_indefinitely(&self) -> bool {
        false
    }

    fn check_secret(&self, secret: &Secret) -> Result<(), SecretError> {
        credentials::check(&self.credentials(secret))
    }

    fn signer(&self) -> Option<&dyn Signer> {
        Some(self)
    }
}

impl Signer for Basic {
    fn sign(&self, draft: &EventDraft, secret: &Secret) -> Result<Request, SignError> {
        let fail = |reason: &str| SignError::new(reason);
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        for (name, value) in self.identity_rules.headers(&draft.event_type, &draft.event_id) {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|e| fail(&e.to_string()))?;
            let value = HeaderValue::from_str(value).map_err(|e| fail(&e.to_string()))?;
            headers.insert(name, value);
        }
        let coded = Encoding::Base64.encode(self.credentials(secret).expose().as_bytes());
        let value = HeaderValue::from_str(&format!("{}{coded}", credentials::SCHEME));
        headers.insert(header::AUTHORIZATION, value.map_err(|e| fail(&e.to_string()))?);
        let target = draft.target().to_owned();
        let head = Head::new(Method::POST, target, headers);
        Ok(Request::new(head, draft.body.clone()))
    }
}
