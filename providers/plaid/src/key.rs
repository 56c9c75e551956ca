//! Requests to Plaid's key service: a POST with the credentials of the account and the id of a key.

use hookward_core::keys::{Jwk, KeyRequest};
use hookward_core::{Secret, Timestamp};
use serde_json::{Value, json};

use crate::Environment;

/// The key service of an environment, with the credentials of the account.
#[derive(Debug)]
pub(crate) struct KeyService {
    url: &'static str,
    credentials: Option<(String, Secret)>,
}

impl KeyService {
    pub(crate) fn new(
        environment: Environment,
        client_id: Option<String>,
        secret: Option<Secret>,
    ) -> Self {
        let url = match environment {
            Environment::Production => "https://production.plaid.com/webhook_verification_key/get",
            Environment::Sandbox => "https://sandbox.plaid.com/webhook_verification_key/get",
        };
        Self { url, credentials: client_id.zip(secret) }
    }

    /// Returns whether the configuration has credentials. Without them no key can be fetched.
    pub(crate) fn has_credentials(&self) -> bool {
        self.credentials.is_some()
    }

    /// Returns the request for the key with an id.
    pub(crate) fn key_request(&self, kid: &str) -> KeyRequest {
        let (client_id, secret) = match &self.credentials {
            Some((client_id, secret)) => (client_id.as_str(), secret.expose()),
            None => ("", ""),
        };
        let body = json!({ "client_id": client_id, "secret": secret, "key_id": kid });
        KeyRequest::for_url(self.url).with_post(body.to_string())
    }
}

/// Returns whether a key is not expired. Plaid sets `expired_at`, in seconds since 1970.
pub(crate) fn is_current(jwk: &Jwk, now: Timestamp) -> bool {
    match jwk.members.get("expired_at") {
        None | Some(Value::Null) => true,
        Some(at) => at.as_i64().is_some_and(|at| now < Timestamp::from_secs(at)),
    }
}

/// Returns whether a text may be the id of a key. It is sent to Plaid before the request is
/// verified, so its form is limited.
pub(crate) fn is_key_id(kid: &str) -> bool {
    (1..=64).contains(&kid.len()) && kid.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}
