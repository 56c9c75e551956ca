//! Verifies the bearer token that SendGrid presents if OAuth is turned on for a webhook. It is
//! issued by the authorization server that you configure at SendGrid.

use std::time::Duration;

use hookward_core::keys::jwt::{self, JwtAlgorithm, Token, TokenRules};
use hookward_core::keys::{KeyRequest, split_https_url};
use hookward_core::plugin::BuildError;
use hookward_core::{Head, VerifyCx, VerifyError};
use schemars::JsonSchema;
use serde::Deserialize;

/// How far the clock of the authorization server may be ahead.
const MAX_CLOCK_AHEAD: Duration = Duration::from_secs(60);

/// The authorization server whose tokens are accepted.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OauthConfig {
    /// The exact `iss` of the tokens.
    issuer: String,
    /// The `aud` of the tokens, or one value of its list.
    audience: String,
    /// URL where the authorization server publishes its keys: public and https.
    jwks_url: String,
}

/// The check of tokens, ready to use.
#[derive(Debug)]
pub(crate) struct Oauth {
    keys: KeyRequest,
    rules: TokenRules,
}

impl OauthConfig {
    pub(crate) fn build(self) -> Result<Oauth, BuildError> {
        for (key, text) in [("/oauth/issuer", &self.issuer), ("/oauth/audience", &self.audience)] {
            if text.is_empty() {
                return Err(BuildError::at(
                    key,
                    "the value is empty; write the exact value of the claim",
                ));
            }
        }
        if split_https_url(&self.jwks_url).is_none() {
            let text = format!("`{}` is not a plain https URL", self.jwks_url);
            return Err(BuildError::at("/oauth/jwks_url", text).help("write https://HOST/PATH"));
        }
        let rules = TokenRules::new([JwtAlgorithm::Rs256, JwtAlgorithm::Es256])
            .issuers([self.issuer])
            .audiences([self.audience])
            .require_expiry()
            .future_leeway(MAX_CLOCK_AHEAD);
        Ok(Oauth { keys: KeyRequest::for_url(self.jwks_url), rules })
    }
}

impl Oauth {
    pub(crate) fn precheck(&self, head: &Head) -> Result<(), VerifyError> {
        token(head).map(drop)
    }

    pub(crate) async fn verify(&self, head: &Head, cx: &VerifyCx<'_>) -> Result<(), VerifyError> {
        jwt::verify(token(head)?, &self.keys, &self.rules, cx).await.map(drop)
    }
}

fn token(head: &Head) -> Result<&str, VerifyError> {
    let text = jwt::bearer_token(head.required("authorization")?)?;
    Token::parse(text).map(|_| text)
}
