//! Every linked provider in each of its signing variants, with a valid secret, and with its scheme
//! where it has one.

use std::future::Future;
use std::path::Path;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use hookward_core::keys::{KeySource, NoKeys};
use hookward_core::plugin::{BuildCx, Plugin, ProviderDescriptor, Registry};
use hookward_core::{
    Proof, Provider, Request, Secret, SecretSet, Timestamp, Verification, VerifyCx, VerifyError,
    prove,
};
use serde_json::{Value, json};

/// Schemes of the providers whose descriptors have none.
const SCHEMES: &str = include_str!("../../cli/src/diagnose/schemes.json");

/// The time of all verifications.
pub const NOW: Timestamp = Timestamp::from_secs(1_760_000_000);

/// The public URL that senders call.
pub const PUBLIC_URL: &str = "https://hooks.example.com";

/// Providers without a scheme whose senders present a token.
const TOKEN_PROVIDERS: &[&str] =
    &["azure_event_grid", "basic", "bearer", "cloudevents", "microsoft_graph", "none", "okta"];

/// Providers without a scheme whose senders sign only parts of the body.
const PARTIAL_BODY_PROVIDERS: &[&str] = &["adyen", "mailgun"];

/// Candidates for a valid secret: a text, base64, hexadecimal, public keys, and a user with a
/// password.
const SECRETS: &[&str] = &[
    "a secret of the fuzz targets, 40 characters long",
    "whsec_YSBzZWNyZXQgb2YgdGhlIGZ1enogdGFyZ2V0cyEh",
    "6120736563726574206f66207468652066757a7a20746172676574732e2e2e2e",
    "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
    "whpk_PUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw=",
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEBKrsc2NXJvIT+4qeZNo7hjLkFJWpRNAEW1IuunJA+tWH2TFXmKqjpboBd1eHztBeqve04J/IHW0apUboNl1SXQ==",
    "fuzz:a password of the fuzz targets",
];

/// A provider in one of its signing variants.
#[derive(Debug)]
pub struct Sender {
    /// Name of the provider, and of the variant if there are several: `gitlab`, `gitlab:token`.
    pub name: String,
    /// The provider as built from its configuration.
    pub provider: Arc<dyn Provider>,
    /// The provider's descriptor.
    pub descriptor: ProviderDescriptor,
    /// A secret that the provider accepts.
    pub secret: String,
    /// The scheme, if it describes the signature completely.
    pub scheme: Option<Value>,
}

/// Returns the registry of all linked plugins.
pub fn registry() -> &'static Registry {
    static REGISTRY: OnceLock<Registry> = OnceLock::new();
    REGISTRY.get_or_init(|| Registry::linked().unwrap_or_default())
}

/// Returns all senders.
pub fn all() -> &'static [Sender] {
    static ALL: OnceLock<Vec<Sender>> = OnceLock::new();
    ALL.get_or_init(|| {
        let plugins = registry().all().filter_map(|plugin| match plugin {
            Plugin::Provider(provider) => Some(provider),
            _ => None,
        });
        plugins.flat_map(signing_variants).collect()
    })
}

/// Returns the sender of this name, or one that the bytes select.
pub fn by_name_or_hash(name: &[u8]) -> Option<&'static Sender> {
    let found = all().iter().find(|s| s.name.as_bytes() == name);
    let sum = name.iter().fold(0_usize, |sum, b| sum.wrapping_mul(31).wrapping_add((*b).into()));
    found.or_else(|| all().get(sum.checked_rem(all().len())?))
}

/// Returns a sender for each signing variant of a provider.
fn signing_variants(descriptor: &ProviderDescriptor) -> Vec<Sender> {
    let mut blocks = vec![(descriptor.name.to_owned(), Value::Null)];
    if descriptor.name == "hmac" {
        blocks = vec![(
            "hmac".to_owned(),
            json!({
                "signature": { "in": "header", "name": "X-Signature", "prefix": "sha256=" },
                "message": "{method}:{url}:{header:X-Id}:{timestamp}:{body}",
                "alg": "hmac-sha256",
                "timestamp": { "from": "header:X-Time", "unit": "s" },
                "event_type": ["header:X-Type", "/type"],
                "event_id": ["header:X-Id", "/id"],
            }),
        )];
    }
    // Each value of an enum in the provider's configuration is a signing variant.
    let schema = (descriptor.schema)();
    let keys = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
    for (key, of) in keys {
        let words = of.get("enum").and_then(Value::as_array).into_iter().flatten();
        for word in words.filter_map(Value::as_str) {
            blocks.push((format!("{}:{word}", descriptor.name), json!({ key: word })));
        }
    }
    blocks.into_iter().filter_map(|(name, with)| build(descriptor, name, with)).collect()
}

/// Builds a sender with the first secret that its provider accepts.
fn build(descriptor: &ProviderDescriptor, name: String, with: Value) -> Option<Sender> {
    let cx = BuildCx::new(Path::new("."), "fuzz");
    let provider = (descriptor.build)(with.clone(), &cx).ok()?;
    let is_accepted = |text: &&&str| provider.check_secret(&Secret::new(**text)).is_ok();
    let secret = (*SECRETS.iter().find(is_accepted).unwrap_or(&SECRETS[0])).to_owned();
    let scheme = (descriptor.scheme)(&with)
        .or_else(|| serde_json::from_str::<Value>(SCHEMES).ok()?.get(descriptor.name).cloned());
    Some(Sender { name, provider, descriptor: *descriptor, secret, scheme })
}

impl Sender {
    /// Verifies a request with one secret at one time.
    pub fn prove_at(
        &self,
        request: &Request,
        secret: &str,
        now: Timestamp,
    ) -> Result<Proof, VerifyError> {
        self.prove_with(request, secret, now, &NoKeys)
    }

    /// Verifies a request with one secret at one time and with fetched keys.
    pub fn prove_with(
        &self,
        request: &Request,
        secret: &str,
        now: Timestamp,
        keys: &dyn KeySource,
    ) -> Result<Proof, VerifyError> {
        let Ok(secrets) = SecretSet::from_texts([secret]) else {
            return Err(VerifyError::InvalidSignature);
        };
        let cx = VerifyCx::new(now, secrets.active(now), keys).with_public_url(PUBLIC_URL);
        poll_once(prove(&*self.provider, request.clone(), &cx))
            .unwrap_or(Err(VerifyError::InvalidSignature))
    }

    /// Verifies a request without `precheck`.
    pub fn verify(&self, request: &Request) -> Result<Verification, VerifyError> {
        let secrets = SecretSet::from_texts([self.secret.as_str()]).unwrap_or_default();
        let cx = VerifyCx::new(NOW, secrets.active(NOW), &NoKeys).with_public_url(PUBLIC_URL);
        poll_once(self.provider.verify(request, &cx)).unwrap_or(Err(VerifyError::InvalidSignature))
    }

    /// Returns whether the signature is a token, which covers no bytes.
    pub fn uses_token(&self) -> bool {
        self.scheme_text("/alg") == Some("equal") || TOKEN_PROVIDERS.contains(&self.descriptor.name)
    }

    /// Returns whether the signature covers the whole body.
    pub fn covers_body(&self) -> bool {
        let body = self.message().map(|message| message.contains("{body}"));
        !self.uses_token()
            && body.unwrap_or(!PARTIAL_BODY_PROVIDERS.contains(&self.descriptor.name))
    }

    /// Returns a text of the scheme by its JSON pointer, such as `/signature/name`.
    pub fn scheme_text(&self, pointer: &str) -> Option<&str> {
        self.scheme.as_ref()?.pointer(pointer)?.as_str()
    }

    /// Returns the message template of the scheme.
    pub fn message(&self) -> Option<&str> {
        self.scheme.as_ref().map(|_| self.scheme_text("/message").unwrap_or("{body}"))
    }

    /// Returns the headers that are part of the message or contain its time, as the scheme writes
    /// them.
    pub fn signed_headers(&self) -> Vec<String> {
        let message = self.message().unwrap_or_default();
        let mut names: Vec<String> = message
            .split("{header:")
            .skip(1)
            .filter_map(|rest| rest.split('}').next())
            .map(str::to_owned)
            .collect();
        let time =
            self.scheme_text("/timestamp/from").and_then(|from| from.strip_prefix("header:"));
        names.extend(time.filter(|_| message.contains("{timestamp}")).map(str::to_owned));
        names
    }

    /// Returns how far the signed time may be from the time of verification.
    pub fn tolerance(&self) -> Option<Duration> {
        self.scheme.as_ref()?.get("timestamp")?;
        self.descriptor.tolerance.or(Some(Duration::from_secs(300)))
    }
}

/// Polls a future once; `None` if it is pending, which no verification without fetched keys is.
pub fn poll_once<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}
