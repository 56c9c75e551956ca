//! Google Cloud Pub/Sub push: an OpenID Connect token that Google signs for the service account of
//! a subscription. It proves who sent a request and does not cover the body.
#![warn(missing_docs)]

mod samples;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hookward_core::keys::KeyRequest;
use hookward_core::keys::jwt::{self, JwtAlgorithm, Token, TokenRules};
use hookward_core::plugin::{BuildCx, BuildError, ProviderConfig};
use hookward_core::scheme::{FieldLocation, IdentityRules, OneOrMore};
use hookward_core::{
    Head, IdentifyError, Identity, Provider, Request, RequestPart, SampleEvent, Verification,
    Verified, VerifyCx, VerifyError,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

hookward_core::register_provider!(GooglePubsubConfig);

/// URL of the keys with which Google signs tokens.
const KEYS_URL: &str = "https://www.googleapis.com/oauth2/v3/certs";
/// Issuers that Google's tokens may name (Google, "Validating an ID token").
const ISSUERS: [&str; 2] = ["https://accounts.google.com", "accounts.google.com"];
/// How far Google's clock may be ahead, if the source sets no tolerance.
const MAX_CLOCK_AHEAD: Duration = Duration::from_secs(60);
/// Event type of a message whose attributes name none.
const DEFAULT_EVENT_TYPE: &str = "message";

/// Settings of the provider: the keys of its `with:` block.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GooglePubsubConfig {
    /// The audience of the subscription. The default is that of Pub/Sub: the URL that it pushes to,
    /// which is `server.public_url` with the path of the request.
    audience: Option<String>,
    /// The service account of the subscription, such as `push@my-project.iam.gserviceaccount.com`.
    email: Option<String>,
    /// Where the event type is: `/pointer` or a list of pointers. The default is the first of the
    /// attributes `eventType`, `ce-type` and `type`, else `message`.
    #[serde(default)]
    event_type: Option<OneOrMore>,
}

impl ProviderConfig for GooglePubsubConfig {
    const NAME: &'static str = "google_pubsub";
    const SUMMARY: &'static str = "Google Cloud Pub/Sub push, with an OpenID Connect token";
    const MEDIA_TYPES: &'static [&'static str] = &["application/json"];
    const NEEDS_SECRET: bool = false;
    const KEEP_HEADERS: &'static [&'static str] = &[
        "x-goog-pubsub-subscription-name",
        "x-goog-pubsub-message-id",
        "x-goog-pubsub-publish-time",
        "x-goog-pubsub-ordering-key",
    ];
    const SAMPLES: &'static [SampleEvent] = samples::ALL;

    fn build(self, _: &BuildCx<'_>) -> Result<Arc<dyn Provider>, BuildError> {
        for (key, value) in [("/audience", &self.audience), ("/email", &self.email)] {
            if value.as_ref().is_some_and(String::is_empty) {
                return Err(BuildError::at(
                    key,
                    "the value is empty; write the value of the subscription, or remove the key",
                ));
            }
        }
        let event_type = self.event_type.unwrap_or_else(|| {
            let attribute = |name: &str| format!("/message/attributes/{name}");
            OneOrMore(["eventType", "ce-type", "type"].map(attribute).into())
        });
        let event_id = OneOrMore(vec!["/message/messageId".into(), "/message/message_id".into()]);
        let identity_rules = IdentityRules::new(Some(event_type), Some(event_id), None)?;
        Ok(Arc::new(GooglePubsub { audience: self.audience, email: self.email, identity_rules }))
    }
}

#[derive(Debug)]
struct GooglePubsub {
    audience: Option<String>,
    email: Option<String>,
    identity_rules: IdentityRules,
}

#[async_trait]
impl Provider for GooglePubsub {
    fn precheck(&self, head: &Head) -> Result<(), VerifyError> {
        self.identity_rules.precheck(head)?;
        token(head).map(drop)
    }

    async fn verify(
        &self,
        request: &Request,
        cx: &VerifyCx<'_>,
    ) -> Result<Verification, VerifyError> {
        self.precheck(&request.head)?;
        let text = token(&request.head)?;
        let audience = self.audience.clone().or_else(|| request.url(cx.public_url));
        let audience = audience.ok_or_else(|| {
            VerifyError::invalid_claim(
                "the expected audience is unknown: set `audience` or `server.public_url`",
            )
        })?;
        let rules = TokenRules::new([JwtAlgorithm::Rs256])
            .issuers(ISSUERS)
            .audiences([audience])
            .require_expiry()
            .expiry_leeway(cx.tolerance.unwrap_or_default())
            .future_leeway(cx.tolerance.unwrap_or(MAX_CLOCK_AHEAD));
        let claims = jwt::verify(text, &KeyRequest::for_url(KEYS_URL), &rules, cx).await?;
        if claims.get("email_verified") != Some(&Value::Bool(true)) {
            return Err(VerifyError::invalid_claim("the token's email is not verified"));
        }
        if self.email.as_deref().is_some_and(|email| claims.non_empty_str("email") != Some(email)) {
            return Err(VerifyError::invalid_claim(
                "the token is for another service account than `email`",
            ));
        }
        Ok(Verification::Genuine { secret: 0 })
    }

    fn identify(&self, delivery: &Verified) -> Result<Vec<Identity>, IdentifyError> {
        // The token covers no byte of the body; like a bare token it vouches for what it came with.
        // The id counts as signed, because a redelivery has the same id in other bytes: its
        // `deliveryAttempt` is a member of the body.
        let vouched = |location: &FieldLocation| !matches!(location, FieldLocation::Header(_));
        let mut events = self.identity_rules.identify(delivery, vouched)?;
        for event in &mut events {
            event.event_type.get_or_insert_with(|| DEFAULT_EVENT_TYPE.to_owned());
        }
        Ok(events)
    }

    /// The audience of the token is the URL of the subscription, unless `audience` names another.
    fn needs_public_url(&self) -> bool {
        self.audience.is_none()
    }

    fn signs(&self, part: RequestPart<'_>) -> bool {
        match part {
            RequestPart::Body => true,
            RequestPart::EventType => self.identity_rules.type_header().is_none(),
            RequestPart::EventId => self.identity_rules.id_header().is_none(),
            _ => false,
        }
    }

    fn is_valid_indefinitely(&self) -> bool {
        false
    }

    fn config_warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.email.is_none() {
            warnings.push(
                "every customer of Google Cloud can have a subscription push here with a valid token; \
                 set `email` to the service account of your subscription"
                    .to_owned(),
            );
        }
        if self.audience.is_none() {
            warnings.push(
                "the audience is derived from the path and query of each request; set `audience` to \
                 that of the subscription"
                    .to_owned(),
            );
        }
        warnings
    }
}

fn token(head: &Head) -> Result<&str, VerifyError> {
    let text = jwt::bearer_token(head.required("authorization")?)?;
    Token::parse(text).map(|_| text)
}
