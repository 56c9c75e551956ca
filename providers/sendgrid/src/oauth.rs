//! The bearer token that SendGrid presents where OAuth is turned on for a webhook: it is of an
//! authorization server that you name to SendGrid.

use std::time::Duration;

use hookward_core::keys::jwt::{self, JwtAlgorithm, Token, TokenRules};
use hookward_core::keys::{KeyRequest, split_https_url};
use hookward_core::plugin::BuildError;
use hookward_core::{Head, VerifyCx, VerifyError};
use schemars::JsonSchema;
use serde::Deserialize;

/// How far the authorization server's clock may be ahead.
const AHEAD: Duration = Duration::from_secs(60);

/// Whose tokens are right.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OauthConfig {
    /// `iss` of the tokens, exactly.
    issuer: String,
    /// `aud` of the tokens, or one of those in it.
    audience: String,
    /// Where the authorization server publishes its keys: a public https address.
    jwks_url: String,
}

/// The same, ready to judge.
#[derive(Debug)]
pub(crate) struct Oauth {
    keys: KeyRequest,
    rules: TokenRules,
}

impl OauthConfig {
    pub(crate) fn build(self) -> Result<Oauth, BuildError> {
        for (key, text) in [("/oauth/issuer", &self.issuer), ("/oauth/audience", &self.audience)] {
            if text.is_empty() {
                return Err(BuildError::at(key, "it is empty"));
            }
        }
        if split_https_url(&self.jwks_url).is_none() {
            let text = format!("`{}` is no plain https address", self.jwks_url);
            return Err(BuildError::at("/oauth/jwks_url", text).help("write https://HOST/PATH"));
        }
        let rules = TokenRules::new([JwtAlgorithm::Rs256, JwtAlgorithm::Es256])
            .issuers([self.issuer])
            .audiences([self.audience])
            .require_expiry()
            .future_leeway(AHEAD);
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
