//! Verifies the tokens (`validationTokens`) of notifications that contain the resource itself.
//! Microsoft signs one for each application and directory concerned (microsoft-graph-docs, "Set up
//! change notifications that include resource data"). The check is on if the configuration requires
//! it.

use std::time::Duration;

use hookward_core::keys::KeyRequest;
use hookward_core::keys::jwt::{self, Claims, JwtAlgorithm, TokenRules};
use hookward_core::plugin::BuildError;
use hookward_core::{VerifyCx, VerifyError};
use serde_json::Value;

/// URL of the keys of the identity platform, for all directories.
const KEYS_URL: &str = "https://login.microsoftonline.com/common/discovery/v2.0/keys";
/// Id of the application that publishes change notifications.
const PUBLISHER_APPLICATION: &str = "0bf30f3b-4a52-48df-9a82-234910c4a086";
/// A delivery may carry at most this many tokens, since each costs a signature verification.
const MAX_TOKENS: usize = 32;
/// Allowed clock difference, in both directions.
const CLOCK_SKEW: Duration = Duration::from_secs(300);

/// Requirements that a token must meet.
#[derive(Debug)]
pub(crate) struct Publisher {
    rules: TokenRules,
    tenants: Vec<String>,
}

impl Publisher {
    pub(crate) fn new(audiences: Vec<String>, tenants: Vec<String>) -> Result<Self, BuildError> {
        if audiences.is_empty() || audiences.iter().any(String::is_empty) {
            let message =
                "`scheme: validation_tokens` needs `audience`: the id of your application";
            return Err(BuildError::at("/audience", message));
        }
        if tenants.iter().any(|tenant| !is_uuid(tenant)) {
            return Err(BuildError::at(
                "/tenant",
                "a tenant is not a UUID: write the id of the directory",
            ));
        }
        let rules = TokenRules::new([JwtAlgorithm::Rs256])
            .audiences(audiences)
            .require_expiry()
            .expiry_leeway(CLOCK_SKEW)
            .future_leeway(CLOCK_SKEW);
        Ok(Self { rules, tenants })
    }

    /// Verifies every token. Every item that contains a resource must be of the directory of a
    /// verified token.
    pub(crate) async fn verify(&self, body: &Value, cx: &VerifyCx<'_>) -> Result<(), VerifyError> {
        let tokens = match body.get("validationTokens") {
            None | Some(Value::Null) => &[][..],
            Some(tokens) => {
                tokens.as_array().ok_or_else(|| invalid_tokens("it is not an array"))?
            }
        };
        if tokens.len() > MAX_TOKENS {
            return Err(invalid_tokens("it has over 32 tokens"));
        }
        let mut tenants = Vec::with_capacity(tokens.len());
        for token in tokens {
            let token = token.as_str().ok_or_else(|| invalid_tokens("a token is not a string"))?;
            let claims =
                jwt::verify(token, &KeyRequest::for_url(KEYS_URL), &self.rules, cx).await?;
            tenants.push(self.tenant(&claims)?);
        }
        let items = body.get("value").and_then(Value::as_array).into_iter().flatten();
        for item in items.filter(|item| holds_resource(item)) {
            if tenants.is_empty() {
                return Err(VerifyError::missing_signature("a validation token"));
            }
            let tenant = item.get("tenantId").and_then(Value::as_str).unwrap_or_default();
            if !tenants.iter().any(|t| t.eq_ignore_ascii_case(tenant)) {
                return Err(VerifyError::invalid_claim(
                    "no token is for the directory of a notification",
                ));
            }
        }
        Ok(())
    }

    /// Returns the directory of a token that this directory issued and that the publisher
    /// requested.
    fn tenant(&self, claims: &Claims) -> Result<String, VerifyError> {
        let tenant = claims.non_empty_str("tid").filter(|t| is_uuid(t)).unwrap_or_default();
        let issuers = [
            format!("https://sts.windows.net/{tenant}/"),
            format!("https://login.microsoftonline.com/{tenant}/v2.0"),
        ];
        if tenant.is_empty() || !issuers.iter().any(|i| claims.non_empty_str("iss") == Some(i)) {
            return Err(VerifyError::invalid_claim("the issuer of the token is not its directory"));
        }
        if !self.tenants.is_empty() && !self.tenants.iter().any(|t| t.eq_ignore_ascii_case(tenant))
        {
            return Err(VerifyError::invalid_claim(
                "the directory of the token is not in `tenant`",
            ));
        }
        // Tokens of version 1.0 name the application in `appid`, those of version 2.0 in `azp`.
        let applications = [claims.get("appid"), claims.get("azp")];
        let mut named = applications.into_iter().flatten().peekable();
        if named.peek().is_none() || !named.all(|application| application == PUBLISHER_APPLICATION)
        {
            return Err(VerifyError::invalid_claim(
                "the token was not requested by the publisher of change notifications",
            ));
        }
        Ok(tenant.to_owned())
    }
}

fn holds_resource(item: &Value) -> bool {
    item.get("encryptedContent").is_some_and(|content| !content.is_null())
}

fn invalid_tokens(what: &str) -> VerifyError {
    VerifyError::invalid_format(format!("validationTokens is invalid: {what}"))
}

/// Returns whether a text is a UUID. A UUID contains no character that could change the URL that it
/// is put into.
fn is_uuid(text: &str) -> bool {
    text.len() == 36 && text.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-')
}
