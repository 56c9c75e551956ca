//! The config types of plugins: plain `serde` and `schemars` structs with `deny_unknown_fields`.
//! `build` is pure; opening and probing do I/O.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::handler::Handler;
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

/// Why a `with:` block, or the URL of a store, cannot be used. Shown by `hookward check` with its
/// position in routes.yaml.
///
/// ```
/// use hookward_core::plugin::BuildError;
///
/// let error = BuildError::at("/url", "`ftp://…` is not an http or https URL")
///     .help("write `https://HOST/PATH`");
/// assert_eq!(error.at, "/url");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
#[non_exhaustive]
pub struct BuildError {
    /// JSON pointer into the `with:` block; empty for the block as a whole.
    pub at: String,
    /// What was found and what is allowed.
    pub message: String,
    /// What the author of routes.yaml should do.
    pub help: Option<String>,
}

impl BuildError {
    /// An error at a JSON pointer into the `with:` block, such as `/url`.
    pub fn at(at: impl Into<String>, message: impl Into<String>) -> Self {
        Self { at: at.into(), message: message.into(), help: None }
    }

    /// Adds what the author of routes.yaml should do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// A provider's `with:` block.
pub trait ProviderConfig: DeserializeOwned + JsonSchema + 'static {
    /// The word in `provider:`; snake_case, the crate's last word.
    const NAME: &'static str;
    /// One line for `hookward plugins`.
    const SUMMARY: &'static str;
    /// The methods that senders use on its path; anything else is 405.
    const METHODS: &'static [&'static str] = &["POST"];
    /// The media types that senders use; empty: any. A missing Content-Type is fine.
    const MEDIA_TYPES: &'static [&'static str] = &[];
    /// Whether a source needs `secrets:`.
    const NEEDS_SECRET: bool = true;
    /// Whether the sender makes the secret up itself and says it at set-up: a source with
    /// `secret_file:` then needs no `secrets:`.
    const SECRET_FROM_HANDSHAKE: bool = false;
    /// Request headers worth keeping with an event, lower-case: types, ids, never signatures or tokens.
    const KEEP_HEADERS: &'static [&'static str] = &[];
    /// How far a signed time may be from now where the source does not say; `None`: none is signed,
    /// or the `with:` block decides.
    const TOLERANCE: Option<Duration> = None;
    /// Events for `hookward send`.
    const SAMPLES: &'static [SampleEvent] = &[];

    /// How it signs with this `with:` block, in the words of the scheme grammar, where that is all
    /// there is to it.
    fn scheme(_with: &Value) -> Option<Value> {
        None
    }

    /// Makes the provider. Pure: no files, no network.
    fn build(self, cx: &BuildCx<'_>) -> Result<Arc<dyn Provider>, BuildError>;
}

/// A handler's `with:` block.
pub trait HandlerConfig: DeserializeOwned + JsonSchema + 'static {
    /// The word in `handler:`.
    const NAME: &'static str;
    /// One line for `hookward plugins`.
    const SUMMARY: &'static str;

    /// Makes the handler. Pure: no files, no network, nothing spawned.
    fn build(self, cx: &BuildCx<'_>) -> Result<Arc<dyn Handler>, BuildError>;
}

/// A kind of store.
pub trait StoreConfig: 'static {
    /// The scheme of its URL: `sqlite` for `sqlite:hookward.db`.
    const NAME: &'static str;
    /// One line for `hookward plugins`.
    const SUMMARY: &'static str;
    /// How its URL is written, such as `sqlite:PATH`.
    const URL: &'static str;

    /// Judges the part of the URL after the scheme. Pure.
    fn check(rest: &str) -> Result<(), BuildError>;
    /// Opens it.
    fn open(rest: String, cx: OpenCx) -> OpenFuture;
}

/// Decodes a `with:` block; the error points at the key where serde says which.
pub fn decode<C: DeserializeOwned>(with: Value) -> Result<C, BuildError> {
    let with = if with.is_null() { Value::Object(serde_json::Map::new()) } else { with };
    serde_json::from_value(with).map_err(|e| BuildError::at("", e.to_string()))
}
