//! Plaid: a JSON Web Token in `Plaid-Verification` that contains the SHA-256 of the body. The key
//! that it names is fetched from Plaid's own service, with the credentials of the account.
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
    Head, IdentifyError, Identity, Provider, Request, RequestPart, SampleEvent, Secret,
    Verification, Verified, VerifyCx, VerifyError,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use key::KeyService;

hookward_core::register_provider!(PlaidConfig);

const TOKEN_HEADER: &str = "plaid-verification";
/// Maximum age of a token, by Plaid's page on webhook verification.
const MAX_TOKEN_AGE: Duration = Duration::from_secs(300);

/// Environment of a Plaid account.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Environment {
    /// Real accounts, at `production.plaid.com`.
    #[default]
    Production,
    /// Test accounts, at `sandbox.plaid.com`.
    Sandbox,
}

/// Settings of the provider: the keys of its `with:` block.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlaidConfig {
    /// The environment whose host serves the keys.
    #[serde(default)]
    environment: Environment,
    /// The client id of the account.
    client_id: Option<String>,
    /// The account's secret for that environment.
    secret: Option<Secret>,
}

impl ProviderConfig for PlaidConfig {
    const NAME: &'static str = "plaid";
    const SUMMARY: &'static str = "Plaid webhooks, signed with a token over the body's hash";
    const MEDIA_TYPES: &'static [&'static str] = &["application/json"];
    // The secret is in the `with:` block: it authorizes requests for keys and verifies nothing
    // itself.
    const NEEDS_SECRET: bool = false;
    const TOLERANCE: Option<Duration> = Some(MAX_TOKEN_AGE);
    const SAMPLES: &'static [SampleEvent] = samples::ALL;

    fn build(self, _: &BuildCx<'_>) -> Result<Arc<dyn Provider>, BuildError> {
        if self.client_id.is_some() != self.secret.is_some() {
            let missing = if self.secret.is_none() { "/secret" } else { "/client_id" };
            let text = "`client_id` and `secret` must both be set";
            return Err(
                BuildError::at(missing, text).help("both are in Plaid's dashboard, at Keys")
            );
        }
        Ok(Arc::new(Plaid(KeyService::new(self.environment, self.client_id, self.secret))))
    }
}

#[derive(Debug)]
struct Plaid(KeyService);

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
        let tolerance = cx.tolerance.unwrap_or(MAX_TOKEN_AGE);
        let rules = TokenRules::new([JwtAlgorithm::Es256])
            .future_leeway(tolerance)
            .max_age(Some(tolerance))
            .key_filter(key::is_current);
        let claims = jwt::verify(text, &self.0.key_request(&kid), &rules, cx).await?;
        let claimed = claims.non_empty_str("request_body_sha256").unwrap_or_default();
        if !tokens_equal(claimed.as_bytes(), sha256_hex(request.body.bytes()).as_bytes()) {
            return Err(VerifyError::invalid_claim(
                "the hash in the token is not that of the body",
            ));
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

    fn signs(&self, part: RequestPart<'_>) -> bool {
        matches!(part, RequestPart::Body | RequestPart::EventType)
    }

    fn is_valid_indefinitely(&self) -> bool {
        false
    }

    /// Plaid sends the same bytes whenever there is more to fetch for an item, so equal content is
    /// no duplicate.
    fn dedupe_by_content(&self) -> bool {
        false
    }

    /// The signed part of the token, which contains its time of issue. The signature is left out,
    /// because an ECDSA signature has a second valid encoding.
    fn replay_token(&self, delivery: &Verified) -> Option<String> {
        let (signed, _) = delivery.header(TOKEN_HEADER)?.rsplit_once('.')?;
        Some(signed.to_owned())
    }

    fn config_warnings(&self) -> Vec<String> {
        let text = "keys cannot be fetched, so every request is answered with 503; set `client_id` \
                    and `secret`";
        if self.0.has_credentials() { Vec::new() } else { vec![text.to_owned()] }
    }
}

/// Returns the token of a head, and the id of its key.
fn token(head: &Head) -> Result<(&str, String), VerifyError> {
    let text = head.required(TOKEN_HEADER)?;
    let token = Token::parse(text)?;
    if token.algorithm() != JwtAlgorithm::Es256 {
        return Err(VerifyError::invalid_format("the token is not signed with ES256"));
    }
    match token.kid().filter(|kid| key::is_key_id(kid)) {
        Some(kid) => Ok((text, kid.to_owned())),
        None => Err(VerifyError::invalid_format("the token's `kid` is not the id of a Plaid key")),
    }
}

/// Returns the SHA-256 of a body in lower-case hex.
fn sha256_hex(body: &[u8]) -> String {
    Encoding::Hex.encode(&sha256(body))
}
