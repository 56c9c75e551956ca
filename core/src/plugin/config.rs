//! The config types of plugins: plain `serde` and `schemars` structs with `deny_unknown_fields`,
//! one for each `with:` block. Building a plugin from one is pure; only opening and probing do I/O,
//! so that `hookward check` can check a configuration anywhere.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::handler::Handler;
use crate::plugin::error::BuildError;
use crate::provider::Provider;
use crate::signer::SampleEvent;
use crate::store::{OpenCx, OpenFuture};

/// What a plugin knows about its surroundings while it is built.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct BuildCx<'a> {
    /// The directory that relative paths start from: the one that holds routes.yaml.
    pub base_dir: &'a Path,
    /// The name of the source or step that it is built for, as in routes.yaml.
    pub name: &'a str,
}

impl<'a> BuildCx<'a> {
    /// A context for the source or step `name`, with relative paths starting at `base_dir`.
    pub fn new(base_dir: &'a Path, name: &'a str) -> Self {
        Self { base_dir, name }
    }
}

/// The `with:` block of a source, and the facts about its provider that are known before it is
/// built. Registered by [`register_provider!`](crate::register_provider).
///
/// ```
/// use std::sync::Arc;
///
/// use hookward_core::plugin::{BuildCx, BuildError, ProviderConfig};
/// use hookward_core::scheme::Scheme;
/// use hookward_core::{Provider, SampleEvent};
///
/// /// The `with:` block of `provider: acme`: no keys.
/// #[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
/// #[serde(deny_unknown_fields)]
/// pub struct AcmeConfig {}
///
/// impl ProviderConfig for AcmeConfig {
///     const NAME: &'static str = "acme";
///     const SUMMARY: &'static str = "Acme deliveries, signed with the shop's key";
///     const SAMPLES: &'static [SampleEvent] =
///         &[SampleEvent::new("*", "acme_", r#"{"id":"%ID%","type":"%TYPE%"}"#)];
///
///     fn build(self, _: &BuildCx<'_>) -> Result<Arc<dyn Provider>, BuildError> {
///         let scheme = r#"{
///             "signature": { "in": "header", "name": "x-acme-signature", "encoding": "hex" },
///             "message": "{body}",
///             "alg": "hmac-sha256",
///             "key": "utf8",
///             "event_type": "/type",
///             "event_id": "/id"
///         }"#;
///         Ok(Arc::new(Scheme::from_json(scheme)?.compile()?))
///     }
/// }
/// ```
pub trait ProviderConfig: DeserializeOwned + JsonSchema + 'static {
    /// The word in `provider:`: snake_case, equal to the last word of the crate's name.
    const NAME: &'static str;
    /// What it is, in one line, for `hookward plugins`.
    const SUMMARY: &'static str;
    /// The HTTP methods that senders use. Requests with another one are answered with 405.
    const METHODS: &'static [&'static str] = &["POST"];
    /// The media types that senders use; empty accepts any. Requests with another one are answered
    /// with 415, those without `Content-Type` are accepted.
    const MEDIA_TYPES: &'static [&'static str] = &[];
    /// Whether a source of this provider must have `secrets:`.
    const NEEDS_SECRET: bool = true;
    /// Whether the sender chooses the secret and sends it in its set-up handshake. A source with
    /// `secret_file:` then needs no `secrets:`.
    const SECRET_FROM_HANDSHAKE: bool = false;
    /// The request headers to store with an event, in lower case: types and ids, never signatures
    /// or tokens, because operators and handlers see them.
    const KEEP_HEADERS: &'static [&'static str] = &[];
    /// How far a signed time may differ from now unless the source sets `tolerance:`. `None` where
    /// the sender signs no time, the `with:` block decides, or the limits of past and future
    /// differ.
    const TOLERANCE: Option<Duration> = None;
    /// Sample events for `hookward send`, the kit and the documentation.
    const SAMPLES: &'static [SampleEvent] = &[];

    /// The signature scheme of this `with:` block as JSON, for documentation and `hookward verify`.
    /// `None` where the provider is more than a scheme.
    fn scheme(_with: &Value) -> Option<Value> {
        None
    }

    /// Builds the provider. Pure: reads no files and no environment, does no I/O.
    ///
    /// # Errors
    /// [`BuildError`] at the key that cannot be used.
    fn build(self, cx: &BuildCx<'_>) -> Result<Arc<dyn Provider>, BuildError>;
}

/// The `with:` block of a step, and the facts about its handler that are known before it is built.
/// Registered by [`register_handler!`](crate::register_handler). The crate's front page has an
/// example.
pub trait HandlerConfig: DeserializeOwned + JsonSchema + 'static {
    /// The word in `handler:`: snake_case, equal to the last word of the crate's name.
    const NAME: &'static str;
    /// What it is, in one line, for `hookward plugins`.
    const SUMMARY: &'static str;

    /// Builds the handler. Pure: reads no files and no environment, does no I/O, spawns nothing.
    ///
    /// # Errors
    /// [`BuildError`] at the key that cannot be used.
    fn build(self, cx: &BuildCx<'_>) -> Result<Arc<dyn Handler>, BuildError>;
}

/// A kind of store, chosen by the scheme of the URL in `store:`. Registered by
/// [`register_store!`](crate::register_store).
pub trait StoreConfig: 'static {
    /// The scheme of its URL: `sqlite` for `sqlite:hookward.db`.
    const NAME: &'static str;
    /// What it is, in one line, for `hookward plugins`.
    const SUMMARY: &'static str;
    /// The form of its URL, such as `sqlite:PATH`, for help and error messages.
    const URL: &'static str;

    /// Checks the part of the URL after the scheme and its colon. Pure: the file or server need not
    /// exist.
    ///
    /// # Errors
    /// [`BuildError`] where no store could have this URL.
    fn check(rest: &str) -> Result<(), BuildError>;
    /// Opens the store at the part of the URL after the scheme, or creates it.
    fn open(rest: String, cx: OpenCx) -> OpenFuture;
}

/// Decodes a `with:` block into its config type; `null` counts as an empty block.
///
/// # Errors
/// [`BuildError`] with the message of serde, which names the key.
pub fn decode<C: DeserializeOwned>(with: Value) -> Result<C, BuildError> {
    let with = if with.is_null() { Value::Object(serde_json::Map::new()) } else { with };
    serde_json::from_value(with).map_err(|e| BuildError::at("", e.to_string()))
}
