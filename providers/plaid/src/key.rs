//! Plaid's key service: a POST with the credentials of the account and the name of a key.

use hookward_core::keys::{Jwk, KeyRequest};
use hookward_core::{Secret, Timestamp};
use serde_json::{Value, json};

use crate::Environment;

/// Where keys are asked for, and how.
#[derive(Debug)]
pub(crate) struct Service {
    url: &'static str,
    account: Option<(String, Secret)>,
}

impl Service {
    pub(crate) fn new(
        environment: Environment,
        client_id: Option<String>,
        secret: Option<Secret>,
    ) -> Self {
        let url = match environment {
            Environment::Production => "https://production.plaid.com/webhook_verification_key/get",
            Environment::Sandbox => "https://sandbox.plaid.com/webhook_verification_key/get",
        };
        Self { url, account: client_id.zip(secret) }
    }

    /// Whether it knows an account to ask with.
    pub(crate) fn is_usable(&self) -> bool {
        self.account.is_some()
    }

    /// The question for a key of this name.
    pub(crate) fn question(&self, kid: &str) -> KeyRequest {
        let (client_id, secret) = match &self.account {
            Some((client_id, secret)) => (client_id.as_str(), secret.expose()),
            None => ("", ""),
        };
        let body = json!({ "client_id": client_id, "secret": secret, "key_id": kid });
        KeyRequest::for_url(self.url).with_post(body.to_string())
    }
}

/// Whether Plaid does not call this key expired, in seconds since 1970.
pub(crate) fn is_current(jwk: &Jwk, now: Timestamp) -> bool {
    match jwk.members.get("expired_at") {
        None | Some(Value::Null) => true,
        Some(at) => at.as_i64().is_some_and(|at| now < Timestamp::from_secs(at)),
    }
}

/// Whether this may be the name of a key: it is sent to Plaid before anything is proven.
pub(crate) fn is_name(kid: &str) -> bool {
    (1..=64).contains(&kid.len()) && kid.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}
