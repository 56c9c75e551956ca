//! Notifications that hold the resource itself bring tokens (`validationTokens`): one for each
//! application and directory that is concerned, signed by Microsoft. Checked where the configuration asks for it.

use std::time::Duration;

use hookward_core::keys::KeyRequest;
use hookward_core::keys::jwt::{self, Claims, JwtAlgorithm, TokenRules};
use hookward_core::plugin::BuildError;
use hookward_core::{VerifyCx, VerifyError};
use serde_json::Value;

/// The keys of the identity platform, for all directories.
const KEYS: &str = "https://login.microsoftonline.com/common/discovery/v2.0/keys";
/// The application that publishes change notifications.
const PUBLISHER: &str = "0bf30f3b-4a52-48df-9a82-234910c4a086";
/// How many tokens are looked at.
const MAX_TOKENS: usize = 32;
/// How far clocks may be apart.
const SKEW: Duration = Duration::from_secs(300);

/// What tokens must say.
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
        if tenants.iter().any(|tenant| !is_id(tenant)) {
            return Err(BuildError::at("/tenant", "a tenant is the id of a directory, a UUID"));
        }
        let rules = TokenRules::new([JwtAlgorithm::Rs256])
            .audiences(audiences)
            .require_expiry()
            .expiry_leeway(SKEW)
            .future_leeway(SKEW);
        Ok(Self { rules, tenants })
    }

    /// Every token must be right, and every item that holds a resource must be of a directory that
    /// one of them is of.
    pub(crate) async fn verify(&self, body: &Value, cx: &VerifyCx<'_>) -> Result<(), VerifyError> {
        let tokens = match body.get("validationTokens") {
            None | Some(Value::Null) => &[][..],
            Some(tokens) => tokens.as_array().ok_or_else(|| form("they are no array"))?,
        };
        if tokens.len() > MAX_TOKENS {
            return Err(form("there are too many"));
        }
        let mut tenants = Vec::with_capacity(tokens.len());
        for token in tokens {
            let token = token.as_str().ok_or_else(|| form("one is no text"))?;
            let claims = jwt::verify(token, &KeyRequest::for_url(KEYS), &self.rules, cx).await?;
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

    /// The directory of a token whose issuer is that directory, and whose maker is the publisher.
    fn tenant(&self, claims: &Claims) -> Result<String, VerifyError> {
        let tenant = claims.non_empty_str("tid").filter(|t| is_id(t)).unwrap_or_default();
        let issuers = [
            format!("https://sts.windows.net/{tenant}/"),
            format!("https://login.microsoftonline.com/{tenant}/v2.0"),
        ];
        if tenant.is_empty() || !issuers.iter().any(|i| claims.non_empty_str("iss") == Some(i)) {
            return Err(VerifyError::invalid_claim("the token is by another issuer"));
        }
        if !self.tenants.is_empty() && !self.tenants.iter().any(|t| t.eq_ignore_ascii_case(tenant))
        {
            return Err(VerifyError::invalid_claim("the token is of another directory"));
        }
        // The two versions of tokens name the application in claims of their own.
        let makers = [claims.get("appid"), claims.get("azp")];
        let mut named = makers.into_iter().flatten().peekable();
        if named.peek().is_none() || !named.all(|maker| maker == PUBLISHER) {
            return Err(VerifyError::invalid_claim(
                "the token was not made for change notifications",
            ));
        }
        Ok(tenant.to_owned())
    }
}

fn holds_resource(item: &Value) -> bool {
    item.get("encryptedContent").is_some_and(|content| !content.is_null())
}

fn form(what: &str) -> VerifyError {
    VerifyError::invalid_format(format!("the validation tokens cannot be read: {what}"))
}

/// A UUID, which never holds a character that could change an address.
fn is_id(text: &str) -> bool {
    text.len() == 36 && text.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-')
}
