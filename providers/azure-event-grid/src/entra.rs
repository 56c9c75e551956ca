//! Verifies tokens of Microsoft Entra ID: issued by one directory, for one application, requested
//! by Event Grid.

use std::time::Duration;

use hookward_core::keys::KeyRequest;
use hookward_core::keys::jwt::{self, JwtAlgorithm, Token, TokenRules};
use hookward_core::plugin::BuildError;
use hookward_core::{Head, VerifyCx, VerifyError};

/// Id of the application with which Event Grid delivers.
const EVENT_GRID_APPLICATION: &str = "4962773b-9cdb-44cf-a8bf-237846a00ab7";
/// Allowed clock difference, in both directions.
const CLOCK_SKEW: Duration = Duration::from_secs(300);

/// Requirements that a token must meet.
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
        let Some(tenant) = tenant.filter(|t| is_uuid(t)).map(|t| t.to_ascii_lowercase()) else {
            let message = "`scheme: entra` needs `tenant`: the id of your directory, a UUID";
            return Err(BuildError::at("/tenant", message));
        };
        let application = application.unwrap_or_else(|| EVENT_GRID_APPLICATION.to_owned());
        if !is_uuid(&application) {
            return Err(BuildError::at(
                "/application",
                "`application` is not a UUID: write the id of the application",
            ));
        }
        let rules = TokenRules::new([JwtAlgorithm::Rs256])
            .issuers([
                format!("https://sts.windows.net/{tenant}/"),
                format!("https://login.microsoftonline.com/{tenant}/v2.0"),
            ])
            .audiences([audience])
            .require_expiry()
            .expiry_leeway(CLOCK_SKEW)
            .future_leeway(CLOCK_SKEW);
        let keys = format!("https://login.microsoftonline.com/{tenant}/discovery/v2.0/keys");
        Ok(Self { keys: KeyRequest::for_url(keys), rules, application })
    }

    pub(crate) fn precheck(&self, head: &Head) -> Result<(), VerifyError> {
        Token::parse(jwt::bearer_token(head.required("authorization")?)?).map(drop)
    }

    pub(crate) async fn verify(&self, head: &Head, cx: &VerifyCx<'_>) -> Result<(), VerifyError> {
        let token = jwt::bearer_token(head.required("authorization")?)?;
        let claims = jwt::verify(token, &self.keys, &self.rules, cx).await?;
        // Tokens of version 1.0 name the application in `appid`, those of version 2.0 in `azp`.
        let applications = [claims.get("appid"), claims.get("azp")];
        let mut named = applications.into_iter().flatten().peekable();
        if named.peek().is_none() || !named.all(|application| *application == *self.application) {
            return Err(VerifyError::invalid_claim(
                "the token was not requested by the application that delivers",
            ));
        }
        Ok(())
    }
}

/// Returns whether a text is a UUID. A UUID contains no character that could change the URL that it
/// is put into.
fn is_uuid(text: &str) -> bool {
    text.len() == 36 && text.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-')
}
