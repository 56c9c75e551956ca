//! Plaid: a JSON Web Token in `Plaid-Verification` that holds the SHA-256 of the body. The key that
//! it names is asked for at Plaid's own service, with the credentials of the account.
#![warn(missing_docs)]

mod key;
mod samples;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hookward_core::crypto::{Encoding, sha256, tokens_equal};
use hookward_core::keys::jwt::{self, JwtAlgorithm, Token, TokenRules};
use hookward_core::plugin::{BuildCx, BuildError, ProviderConfig};
use hookward_core::{
    Head, IdentifyError, Identity, Provider, Request, SampleEvent, Secret, Verification, Verified,
    VerifyCx, VerifyError,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use key::Service;

hookward_core::register_provider!(PlaidConfig);

const HEADER: &str = "plaid-verification";
/// How long after its issue Plaid wants a token to be taken.
const MAX_AGE: Duration = Duration::from_secs(300);

/// Which of Plaid's environments an account is in.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Environment {
    /// `production.plaid.com`.
    #[default]
    Production,
    /// `sandbox.plaid.com`.
    Sandbox,
}

/// Settings of the provider: the keys of its `with:` block.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlaidConfig {
    /// Where keys are asked for.
    #[serde(default)]
    environment: Environment,
    /// The account's client id.
    client_id: Option<String>,
    /// The account's secret for that environment.
    secret: Option<Secret>,
}

impl ProviderConfig for PlaidConfig {
    const NAME: &'static str = "plaid";
    const SUMMARY: &'static str = "Plaid webhooks, signed with a token over the body's hash";
    const MEDIA_TYPES: &'static [&'static str] = &["application/json"];
    // What is secret is in the `with:` block: it asks for keys and verifies nothing itself.
    const NEEDS_SECRET: bool = false;
    const TOLERANCE: Option<Duration> = Some(MAX_AGE);
    const SAMPLES: &'static [SampleEvent] = samples::ALL;

    fn build(self, _: &BuildCx<'_>) -> Result<Arc<dyn Provider>, BuildError> {
        if self.client_id.is_some() != self.secret.is_some() {
            let missing = if self.secret.is_none() { "/secret" } else { "/client_id" };
            let text = "`client_id` and `secret` go together";
            return Err(
                BuildError::at(missing, text).help("both are in Plaid's dashboard, at Keys")
            );
        }
        Ok(Arc::new(Plaid(Service::new(self.environment, self.client_id, self.secret))))
    }
}

#[derive(Debug)]
struct Plaid(Service);

#[async_trait]
impl Provider for Plaid {
    fn precheck(&self, head: &Head) -> Result<(), VerifyError> {
        token(head).map(drop)
    }

    async fn verify(
        &self,
        request: &Request,
        cx: &VerifyCx<'_>,
    ) -> Result<Verification, VerifyError> {
        let (text, kid) = token(&request.head)?;
        let span = cx.tolerance.unwrap_or(MAX_AGE);
        let rules = TokenRules::new([JwtAlgorithm::Es256])
            .future_leeway(span)
            .max_age(Some(span))
            .key_filter(key::is_current);
        let claims = jwt::verify(text, &self.0.question(&kid), &rules, cx).await?;
        let said = claims.non_empty_str("request_body_sha256").unwrap_or_default();
        if !tokens_equal(said.as_bytes(), hash(request.body.bytes()).as_bytes()) {
            return Err(VerifyError::invalid_claim("the token is for another body"));
        }
        Ok(Verification::Genuine { secret: 0 })
    }

    fn identify(&self, delivery: &Verified) -> Result<Vec<Identity>, IdentifyError> {
        let body = delivery.json().map_err(|e| IdentifyError::new(e.to_string()))?;
        let text =
            |name: &str| body.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        let event_type = match (text("webhook_type"), text("webhook_code")) {
            (Some(kind), Some(code)) => Some(format!("{kind}.{code}")),
            (one, other) => one.or(other).map(str::to_owned),
        };
        Ok(vec![Identity::new().with_event_type(event_type)])
    }

    /// Plaid says the same again whenever there is more to fetch for an item.
    fn dedupe_by_content(&self) -> bool {
        false
    }

    /// What is signed of the token, which holds the time of its issue. Its signature can be written in
    /// two ways.
    fn replay_token(&self, delivery: &Verified) -> Option<String> {
        let (signed, _) = delivery.header(HEADER)?.rsplit_once('.')?;
        Some(signed.to_owned())
    }

    fn config_warnings(&self) -> Vec<String> {
        let text = "no key can be asked for, so every request is answered with 503; set `client_id` \
                    and `secret`";
        if self.0.is_usable() { Vec::new() } else { vec![text.to_owned()] }
    }
}

/// The token, and the name of its key.
fn token(head: &Head) -> Result<(&str, String), VerifyError> {
    let text = head.required(HEADER)?;
    let token = Token::parse(text)?;
    if token.algorithm() != JwtAlgorithm::Es256 {
        return Err(VerifyError::invalid_format("the token is not signed with ES256"));
    }
    match token.kid().filter(|kid| key::is_name(kid)) {
        Some(kid) => Ok((text, kid.to_owned())),
        None => Err(VerifyError::invalid_format("the token names no key of Plaid")),
    }
}

/// SHA-256 in lower-case hex.
fn hash(body: &[u8]) -> String {
    Encoding::Hex.encode(&sha256(body))
}
