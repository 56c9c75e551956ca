//! One attempt at a proof, with everything that it depends on, so that each part can be altered.

use std::sync::Arc;
use std::time::Duration;

use data_encoding::BASE64;
use hookward_core::keys::{FixedKeys, NoKeys};
use hookward_core::plugin::Registry;
use hookward_core::scheme::Scheme;
use hookward_core::{
    Body, Proof, Provider, Request, Secret, SecretSet, TimedSecret, Timestamp, VerifyCx,
    VerifyError, prove,
};
use serde_json::{Value, json};

/// Far beyond any clock: where only the signature is in question.
const FOR_EVER: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// How our own providers sign, so that their schemes can be altered as well.
const SCHEMES: &str = include_str!("schemes.json");

/// A request and everything that a proof of it depends on.
#[derive(Debug, Clone)]
pub(crate) struct Trial<'a> {
    pub(crate) registry: &'a Registry,
    /// The provider's name.
    pub(crate) name: &'static str,
    pub(crate) provider: Arc<dyn Provider>,
    /// The block that the provider was built from.
    pub(crate) with: Value,
    /// How it signs, in the words of the scheme grammar, where that is known.
    pub(crate) scheme: Option<Value>,
    pub(crate) request: Request,
    pub(crate) public_url: Option<String>,
    pub(crate) secrets: Vec<Secret>,
    pub(crate) now: Timestamp,
    pub(crate) tolerance: Option<Duration>,
    /// What would be fetched, where it was given.
    pub(crate) keys: Option<FixedKeys>,
}

impl Trial<'_> {
    /// Runs the proof.
    pub(crate) async fn prove(&self) -> Result<Proof, VerifyError> {
        let timed = |s: &Secret| TimedSecret { secret: s.clone(), until: None };
        let Ok(secrets) = SecretSet::new(self.secrets.iter().map(timed).collect()) else {
            return Err(VerifyError::InvalidSignature);
        };
        let cx = VerifyCx {
            now: self.now,
            secrets: secrets.active(self.now),
            tolerance: self.tolerance,
            public_url: self.public_url.as_deref(),
            keys: match &self.keys {
                Some(keys) => keys,
                None => &NoKeys,
            },
        };
        prove(&*self.provider, self.request.clone(), &cx).await
    }

    /// Whether the signature is right, whatever the time.
    pub(super) async fn fits(&self) -> bool {
        matches!(
            self.prove().await,
            Ok(_)
                | Err(VerifyError::TimestampTooOld { .. } | VerifyError::TimestampInFuture { .. })
        )
    }

    /// Fills in how the provider signs: its descriptor says so where that is all there is to it,
    /// others are listed here.
    pub(crate) fn with_known_scheme(mut self) -> Self {
        let descriptor = self.registry.provider(self.name);
        let said = descriptor.and_then(|d| (d.scheme)(&self.with));
        self.scheme = if said.is_some() {
            said
        } else {
            let has = |name: &str| self.request.head.headers.contains_key(name);
            let svix = match self.with.get("headers").and_then(Value::as_str) {
                Some("svix") => true,
                Some("webhook") => false,
                _ => has("svix-signature") && !has("webhook-signature"),
            };
            let id = if self.name == "standard_webhooks" && svix { "svix" } else { self.name };
            serde_json::from_str::<Value>(SCHEMES).ok().and_then(|all| all.get(id).cloned())
        };
        self
    }

    pub(super) fn without_clock(&self) -> Self {
        Self { tolerance: Some(FOR_EVER), ..self.clone() }
    }

    pub(super) fn with_body(&self, bytes: impl Into<bytes::Bytes>) -> Self {
        let request = Request::new(self.request.head.clone(), Body::new(bytes));
        Self { request, ..self.clone() }
    }

    pub(super) fn with_secret(&self, text: impl Into<String>) -> Self {
        Self { secrets: vec![Secret::new(text)], ..self.clone() }
    }

    /// With a scheme instead of the provider; `None` where it is none.
    pub(super) fn with_scheme(&self, scheme: Value) -> Option<Self> {
        let compiled = serde_json::from_value::<Scheme>(scheme.clone()).ok()?.compile().ok()?;
        Some(Self { provider: Arc::new(compiled), scheme: Some(scheme), ..self.clone() })
    }

    /// With this key, whatever text it may come from.
    pub(super) fn with_key(&self, key: &[u8]) -> Option<Self> {
        let mut scheme = self.scheme.clone()?;
        scheme.as_object_mut()?.insert("key".to_owned(), json!("whsec"));
        Some(self.with_scheme(scheme)?.with_secret(BASE64.encode(key)))
    }

    /// A text of the scheme: `/signature/encoding`.
    pub(super) fn says(&self, pointer: &str) -> Option<&str> {
        self.scheme.as_ref()?.pointer(pointer)?.as_str()
    }
}
