//! One verification with everything that it depends on, so that each part can be changed.

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

/// A tolerance that every time satisfies, for trials of the signature alone.
const UNLIMITED_TOLERANCE: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// The schemes of the first-party providers, so that trials can change them too.
const SCHEMES_JSON: &str = include_str!("schemes.json");

/// A request and everything that its verification depends on.
#[derive(Debug, Clone)]
pub(crate) struct Trial<'a> {
    pub(crate) registry: &'a Registry,
    /// The provider's name.
    pub(crate) name: &'static str,
    pub(crate) provider: Arc<dyn Provider>,
    /// The `with:` block that the provider was built from.
    pub(crate) with: Value,
    /// The signature scheme in the scheme grammar, if it is known.
    pub(crate) scheme: Option<Value>,
    pub(crate) request: Request,
    pub(crate) public_url: Option<String>,
    pub(crate) secrets: Vec<Secret>,
    pub(crate) now: Timestamp,
    pub(crate) tolerance: Option<Duration>,
    /// Keys that a server would fetch, if they were given.
    pub(crate) keys: Option<FixedKeys>,
}

impl Trial<'_> {
    /// Runs the verification.
    pub(crate) async fn prove(&self) -> Result<Proof, VerifyError> {
        let timed = |s: &Secret| TimedSecret { secret: s.clone(), until: None };
        let Ok(secrets) = SecretSet::new(self.secrets.iter().map(timed).collect()) else {
            return Err(VerifyError::InvalidSignature);
        };
        let cx = VerifyCx::new(
            self.now,
            secrets.active(self.now),
            match &self.keys {
                Some(keys) => keys,
                None => &NoKeys,
            },
        )
        .with_tolerance(self.tolerance)
        .with_public_url(self.public_url.as_deref());
        prove(&*self.provider, self.request.clone(), &cx).await
    }

    /// Whether the signature matches, whatever the signed time.
    pub(super) async fn matches(&self) -> bool {
        matches!(
            self.prove().await,
            Ok(_)
                | Err(VerifyError::TimestampTooOld { .. } | VerifyError::TimestampInFuture { .. })
        )
    }

    /// Fills in the signature scheme: from the provider's descriptor, or from `schemes.json` for providers with
    /// code of their own.
    pub(crate) fn with_known_scheme(mut self) -> Self {
        let descriptor = self.registry.provider(self.name);
        let described = descriptor.and_then(|d| (d.scheme)(&self.with));
        self.scheme = if described.is_some() {
            described
        } else {
            let has_header = |name: &str| self.request.head.headers.contains_key(name);
            let svix = match self.with.get("headers").and_then(Value::as_str) {
                Some("svix") => true,
                Some("webhook") => false,
                _ => has_header("svix-signature") && !has_header("webhook-signature"),
            };
            let id = if self.name == "standard_webhooks" && svix { "svix" } else { self.name };
            serde_json::from_str::<Value>(SCHEMES_JSON).ok().and_then(|all| all.get(id).cloned())
        };
        self
    }

    pub(super) fn with_unlimited_tolerance(&self) -> Self {
        Self { tolerance: Some(UNLIMITED_TOLERANCE), ..self.clone() }
    }

    pub(super) fn with_body(&self, bytes: impl Into<bytes::Bytes>) -> Self {
        let request = Request::new(self.request.head.clone(), Body::new(bytes));
        Self { request, ..self.clone() }
    }

    pub(super) fn with_secret(&self, text: impl Into<String>) -> Self {
        Self { secrets: vec![Secret::new(text)], ..self.clone() }
    }

    /// Verifies with this scheme instead of the provider; `None` if the scheme does not compile.
    pub(super) fn with_scheme(&self, scheme: Value) -> Option<Self> {
        let compiled = serde_json::from_value::<Scheme>(scheme.clone()).ok()?.compile().ok()?;
        Some(Self { provider: Arc::new(compiled), scheme: Some(scheme), ..self.clone() })
    }

    /// Verifies with these key bytes; `None` if the scheme is not known.
    pub(super) fn with_key(&self, key: &[u8]) -> Option<Self> {
        let mut scheme = self.scheme.clone()?;
        scheme.as_object_mut()?.insert("key".to_owned(), json!("whsec"));
        Some(self.with_scheme(scheme)?.with_secret(BASE64.encode(key)))
    }

    /// A string of the scheme, such as `/signature/encoding`.
    pub(super) fn scheme_text(&self, pointer: &str) -> Option<&str> {
        self.scheme.as_ref()?.pointer(pointer)?.as_str()
    }
}
