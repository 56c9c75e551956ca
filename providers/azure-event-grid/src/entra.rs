//! Tokens of Microsoft Entra ID: made by one directory, for one application, by Event Grid.

use std::time::Duration;

use hookward_core::keys::KeyRequest;
use hookward_core::keys::jwt::{self, JwtAlgorithm, Token, TokenRules};
use hookward_core::plugin::BuildError;
use hookward_core::{Head, VerifyCx, VerifyError};

/// The application by which Event Grid delivers.
const EVENT_GRID: &str = "4962773b-9cdb-44cf-a8bf-237846a00ab7";
/// How far clocks may be apart.
const SKEW: Duration = Duration::from_secs(300);

/// What tokens must say.
#[derive(Debug)]
pub(crate) struct Entra {
    keys: KeyRequest,
    rules: TokenRules,
    application: String,
}

impl Entra {
    pub(crate) fn new(
        audience: Option<String>,
        tenant: Option<String>,
        application: Option<String>,
    ) -> Result<Self, BuildError> {
        let Some(audience) = audience.filter(|a| !a.is_empty()) else {
            let message = "`scheme: entra` needs `audience`: the id or URI of your application";
            return Err(BuildError::at("/audience", message));
        };
        let Some(tenant) = tenant.filter(|t| is_id(t)).map(|t| t.to_ascii_lowercase()) else {
            let message = "`scheme: entra` needs `tenant`: the id of your directory, a UUID";
            return Err(BuildError::at("/tenant", message));
        };
        let application = application.unwrap_or_else(|| EVENT_GRID.to_owned());
        if !is_id(&application) {
            return Err(BuildError::at("/application", "the id of an application is a UUID"));
        }
        let rules = TokenRules::new([JwtAlgorithm::Rs256])
            .issuers([
                format!("https://sts.windows.net/{tenant}/"),
                format!("https://login.microsoftonline.com/{tenant}/v2.0"),
            ])
            .audiences([audience])
            .require_expiry()
            .expiry_leeway(SKEW)
            .future_leeway(SKEW);
        let keys = format!("https://login.microsoftonline.com/{tenant}/discovery/v2.0/keys");
        Ok(Self { keys: KeyRequest::for_url(keys), rules, application })
    }

    pub(crate) fn precheck(&self, head: &Head) -> Result<(), VerifyError> {
        Token::parse(jwt::bearer_token(head.required("authorization")?)?).map(drop)
    }

    pub(crate) async fn verify(&self, head: &Head, cx: &VerifyCx<'_>) -> Result<(), VerifyError> {
        let token = jwt::bearer_token(head.required("authorization")?)?;
        let claims = jwt::verify(token, &self.keys, &self.rules, cx).await?;
        // The two versions of tokens name the application in claims of their own.
        let makers = [claims.get("appid"), claims.get("azp")];
        let mut named = makers.into_iter().flatten().peekable();
        if named.peek().is_none() || !named.all(|maker| *maker == *self.application) {
            return Err(VerifyError::invalid_claim(
                "the token was not made for Event Grid's deliveries",
            ));
        }
        Ok(())
    }
}

/// A UUID, which never holds a character that could change an address.
fn is_id(text: &str) -> bool {
    text.len() == 36 && text.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-')
}
