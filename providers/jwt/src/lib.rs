//! Senders that present a JSON Web Token of an issuer who publishes its keys: a bearer token, or
//! one that also contains the hash of the body.
#![warn(missing_docs)]

mod body_hash;
mod samples;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hookward_core::keys::jwt::{self, JwtAlgorithm, Token, TokenRules};
use hookward_core::keys::{KeyRequest, split_https_url};
use hookward_core::plugin::{BuildCx, BuildError, ProviderConfig};
use hookward_core::scheme::{FieldLocation, IdentityRules, OneOrMore};
use hookward_core::{
    Head, IdentifyError, Identity, Provider, Request, RequestPart, SampleEvent, Verification,
    Verified, VerifyCx, VerifyError,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use body_hash::BodyHash;

hookward_core::register_provider!(JwtConfig);

/// How far the issuer's clock may be ahead, if the source sets no tolerance.
const MAX_CLOCK_AHEAD: Duration = Duration::from_secs(60);

/// A signature algorithm that tokens may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum AllowedAlgorithm {
    /// RSA PKCS #1 v1.5 with SHA-256.
    #[serde(rename = "RS256")]
    Rs256,
    /// ECDSA over P-256 with SHA-256.
    #[serde(rename = "ES256")]
    Es256,
}

/// Settings of the provider: the keys of its `with:` block.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JwtConfig {
    /// The exact `iss` of the tokens.
    issuer: String,
    /// The `aud` of the tokens, or one value of its list.
    audience: String,
    /// URL where the issuer publishes its keys: public and https.
    jwks_url: String,
    /// The accepted algorithms; by default both.
    #[serde(default = "all_algorithms")]
    algorithms: Vec<AllowedAlgorithm>,
    /// The header that contains the token; by default `Authorization`, with `Bearer` before the
    /// token.
    #[serde(default)]
    header: Option<String>,
    /// Claims that must be present, with these values.
    #[serde(default)]
    claims: BTreeMap<String, String>,
    /// The claim that contains the hash of the body, if the issuer adds one.
    #[serde(default)]
    body_hash: Option<BodyHash>,
    /// How long ago a token may have been issued; by default only its own expiry counts.
    #[serde(default)]
    max_age: Option<hookward_core::HumanDuration>,
    /// Where the event type is: `/pointer`, `header:NAME` or a list of them; by default `/type`.
    #[serde(default)]
    event_type: Option<OneOrMore>,
    /// Where the event id is, in the same notation as `event_type`; by default `/id`.
    #[serde(default)]
    event_id: Option<OneOrMore>,
    /// Where the array of events is, for senders that batch: a pointer, or `""` for the whole body.
    #[serde(default)]
    batch: Option<String>,
}

fn all_algorithms() -> Vec<AllowedAlgorithm> {
    vec![AllowedAlgorithm::Rs256, AllowedAlgorithm::Es256]
}

impl ProviderConfig for JwtConfig {
    const NAME: &'static str = "jwt";
    const SUMMARY: &'static str = "Tokens (JWT) of an issuer that publishes its keys";
    const NEEDS_SECRET: bool = false;
    const SAMPLES: &'static [SampleEvent] = samples::ALL;

    fn build(self, _: &BuildCx<'_>) -> Result<Arc<dyn Provider>, BuildError> {
        for (key, text) in [("/issuer", &self.issuer), ("/audience", &self.audience)] {
            if text.is_empty() {
                return Err(BuildError::at(
                    key,
                    "the value is empty; write the exact value of the claim",
                ));
            }
        }
        if split_https_url(&self.jwks_url).is_none() {
            let text = format!("`{}` is not a plain https URL", self.jwks_url);
            return Err(BuildError::at("/jwks_url", text).help("write https://HOST/PATH"));
        }
        if self.algorithms.is_empty() {
            return Err(BuildError::at("/algorithms", "the list is empty")
                .help("list RS256, ES256 or both, or remove the key"));
        }
        let header = self.header.map(|name| name.to_ascii_lowercase());
        if let Some(name) =
            header.as_ref().filter(|n| http::HeaderName::from_bytes(n.as_bytes()).is_err())
        {
            return Err(BuildError::at("/header", format!("`{name}` is not a header name")));
        }
        let one = |text: &str| OneOrMore(vec![text.to_owned()]);
        let event_type = self.event_type.unwrap_or_else(|| one("/type"));
        let event_id = self.event_id.unwrap_or_else(|| one("/id"));
        let algorithm = |own: &AllowedAlgorithm| match own {
            AllowedAlgorithm::Rs256 => JwtAlgorithm::Rs256,
            AllowedAlgorithm::Es256 => JwtAlgorithm::Es256,
        };
        Ok(Arc::new(Jwt {
            keys: KeyRequest::for_url(self.jwks_url),
            rules: TokenRules::new(self.algorithms.iter().map(algorithm))
                .issuers([self.issuer])
                .audiences([self.audience])
                .require_expiry()
                .future_leeway(MAX_CLOCK_AHEAD)
                .max_age(self.max_age.map(|age| age.0)),
            header,
            claims: self.claims,
            body_hash: self.body_hash,
            identity_rules: IdentityRules::new(Some(event_type), Some(event_id), self.batch)?,
        }))
    }
}

#[derive(Debug)]
struct Jwt {
    keys: KeyRequest,
    rules: TokenRules,
    header: Option<String>,
    claims: BTreeMap<String, String>,
    body_hash: Option<BodyHash>,
    identity_rules: IdentityRules,
}

impl Jwt {
    fn token<'a>(&self, head: &'a Head) -> Result<&'a str, VerifyError> {
        let text = match &self.header {
            Some(name) => head.required(name)?,
            None => jwt::bearer_token(head.required("authorization")?)?,
        };
        Token::parse(text).map(|_| text)
    }
}

#[async_trait]
impl Provider for Jwt {
    fn precheck(&self, head: &Head) -> Result<(), VerifyError> {
        self.identity_rules.precheck(head)?;
        self.token(head).map(drop)
    }

    async fn verify(
        &self,
        request: &Request,
        cx: &VerifyCx<'_>,
    ) -> Result<Verification, VerifyError> {
        self.identity_rules.precheck(&request.head)?;
        let token = self.token(&request.head)?;
        let mut rules = self.rules.clone();
        if let Some(tolerance) = cx.tolerance {
            rules = rules.expiry_leeway(tolerance).future_leeway(tolerance);
        }
        let claims = jwt::verify(token, &self.keys, &rules, cx).await?;
        for (name, wanted) in &self.claims {
            let same = match claims.get(name) {
                Some(Value::Bool(yes)) => yes.to_string() == *wanted,
                Some(Value::Number(number)) => number.to_string() == *wanted,
                _ => claims.contains(name, wanted),
            };
            if !same {
                return Err(VerifyError::invalid_claim(format!(
                    "the token's `{name}` does not have the configured value"
                )));
            }
        }
        match &self.body_hash {
            Some(hash) if !hash.matches(request.body.bytes(), &claims) => {
                Err(VerifyError::invalid_claim("the hash in the token is not that of the body"))
            }
            _ => Ok(Verification::Genuine { secret: 0 }),
        }
    }

    fn identify(&self, delivery: &Verified) -> Result<Vec<Identity>, IdentifyError> {
        let body_is_signed = self.body_hash.is_some();
        let signed = |at: &FieldLocation| body_is_signed && !matches!(at, FieldLocation::Header(_));
        self.identity_rules.identify(delivery, signed)
    }

    fn signs(&self, part: RequestPart<'_>) -> bool {
        let signs_body = self.body_hash.is_some();
        match part {
            RequestPart::Body => signs_body,
            RequestPart::EventType => signs_body && self.identity_rules.type_header().is_none(),
            RequestPart::EventId => signs_body && self.identity_rules.id_header().is_none(),
            _ => false,
        }
    }

    /// A token has an end, or is a bare one.
    fn is_valid_indefinitely(&self) -> bool {
        false
    }

    fn config_warnings(&self) -> Vec<String> {
        let text = "the token proves who sent a request and does not cover the body: whoever obtains a token can \
                    send anything with it until it expires; set `body_hash` if the issuer puts the \
                    body's hash into it";
        if self.body_hash.is_some() { Vec::new() } else { vec![text.to_owned()] }
    }
}
