//! Constant descriptors of plugins: names, facts and `fn` pointers. `const fn`s that are generic
//! over a config type make them, so that a plugin is registered without running any code.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::handler::Handler;
use crate::plugin::config::{BuildCx, HandlerConfig, ProviderConfig, StoreConfig, decode};
use crate::plugin::error::BuildError;
use crate::provider::Provider;
use crate::signer::SampleEvent;
use crate::store::{OpenCx, OpenFuture};

/// The crate that a plugin comes from; shown by `hookward plugins` and in errors about duplicates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Origin {
    /// The crate's name, from `CARGO_PKG_NAME`.
    pub crate_name: &'static str,
    /// The crate's version, from `CARGO_PKG_VERSION`.
    pub version: &'static str,
}

impl Origin {
    /// The crate `crate_name` at `version`. The `register_*!` macros write it for the calling
    /// crate.
    pub const fn new(crate_name: &'static str, version: &'static str) -> Self {
        Self { crate_name, version }
    }
}

/// Builds a plugin from its `with:` block, decoded by [`decode`].
pub type BuildFn<T> = fn(Value, &BuildCx<'_>) -> Result<Arc<T>, BuildError>;

/// The descriptor of a plugin of any kind.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Plugin {
    /// A provider, for `provider:` of a source.
    Provider(ProviderDescriptor),
    /// A handler, for `handler:` of a step.
    Handler(HandlerDescriptor),
    /// A store, for the scheme of `store:`.
    Store(StoreDescriptor),
}

impl Plugin {
    /// The kind of plugin: `provider`, `handler` or `store`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Provider(_) => "provider",
            Self::Handler(_) => "handler",
            Self::Store(_) => "store",
        }
    }

    /// The word in routes.yaml that chooses the plugin.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Provider(p) => p.name,
            Self::Handler(h) => h.name,
            Self::Store(s) => s.name,
        }
    }

    /// What the plugin is, in one line.
    pub fn summary(&self) -> &'static str {
        match self {
            Self::Provider(p) => p.summary,
            Self::Handler(h) => h.summary,
            Self::Store(s) => s.summary,
        }
    }

    /// The crate that the plugin comes from.
    pub fn origin(&self) -> Origin {
        match self {
            Self::Provider(p) => p.origin,
            Self::Handler(h) => h.origin,
            Self::Store(s) => s.origin,
        }
    }
}

/// The facts about a provider that are known before it is built. The fields are the constants and
/// functions of [`ProviderConfig`], and `schema` is the JSON Schema of its `with:` block.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs, reason = "the fields are documented where they are given, in ProviderConfig")]
#[non_exhaustive]
pub struct ProviderDescriptor {
    pub name: &'static str,
    pub summary: &'static str,
    pub origin: Origin,
    pub methods: &'static [&'static str],
    pub media_types: &'static [&'static str],
    pub needs_secret: bool,
    pub secret_from_handshake: bool,
    pub keep_headers: &'static [&'static str],
    pub tolerance: Option<Duration>,
    pub samples: &'static [SampleEvent],
    pub schema: fn() -> Value,
    pub scheme: fn(&Value) -> Option<Value>,
    pub build: BuildFn<dyn Provider>,
}

impl ProviderDescriptor {
    /// A descriptor from its parts, for providers that do not come from a config type, such as
    /// entries of a data file. The rest has the defaults of [`ProviderConfig`]; setters change it.
    pub const fn new(
        name: &'static str,
        summary: &'static str,
        origin: Origin,
        schema: fn() -> Value,
        build: BuildFn<dyn Provider>,
    ) -> Self {
        Self {
            name,
            summary,
            origin,
            methods: &["POST"],
            media_types: &[],
            needs_secret: true,
            secret_from_handshake: false,
            keep_headers: &[],
            tolerance: None,
            samples: &[],
            schema,
            scheme: |_| None,
            build,
        }
    }

    const_setters! {
        with_methods => methods: &'static [&'static str];
        with_media_types => media_types: &'static [&'static str];
        with_needs_secret => needs_secret: bool;
        with_secret_from_handshake => secret_from_handshake: bool;
        with_keep_headers => keep_headers: &'static [&'static str];
        with_tolerance => tolerance: Option<Duration>;
        with_samples => samples: &'static [SampleEvent];
        with_scheme => scheme: fn(&Value) -> Option<Value>;
    }

    /// The descriptor of a config type, as the `register_*!` macros make it.
    pub const fn of<C: ProviderConfig>(origin: Origin) -> Self {
        Self {
            name: C::NAME,
            summary: C::SUMMARY,
            origin,
            methods: C::METHODS,
            media_types: C::MEDIA_TYPES,
            needs_secret: C::NEEDS_SECRET,
            secret_from_handshake: C::SECRET_FROM_HANDSHAKE,
            keep_headers: C::KEEP_HEADERS,
            tolerance: C::TOLERANCE,
            samples: C::SAMPLES,
            scheme: C::scheme,
            schema: || schemars::schema_for!(C).to_value(),
            build: |with, cx| decode::<C>(with)?.build(cx),
        }
    }
}

/// The facts about a handler that are known before it is built. The fields are the constants and
/// functions of [`HandlerConfig`], and `schema` is the JSON Schema of its `with:` block.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs, reason = "the fields are documented where they are given, in HandlerConfig")]
#[non_exhaustive]
pub struct HandlerDescriptor {
    pub name: &'static str,
    pub summary: &'static str,
    pub origin: Origin,
    pub schema: fn() -> Value,
    pub build: BuildFn<dyn Handler>,
}

impl HandlerDescriptor {
    /// The descriptor of a config type, as the `register_*!` macros make it.
    pub const fn of<C: HandlerConfig>(origin: Origin) -> Self {
        Self {
            name: C::NAME,
            summary: C::SUMMARY,
            origin,
            schema: || schemars::schema_for!(C).to_value(),
            build: |with, cx| decode::<C>(with)?.build(cx),
        }
    }
}

/// The facts about a store that are known before it is opened. The fields are the constants and
/// functions of [`StoreConfig`].
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs, reason = "the fields are documented where they are given, in StoreConfig")]
#[non_exhaustive]
pub struct StoreDescriptor {
    pub name: &'static str,
    pub summary: &'static str,
    pub url: &'static str,
    pub origin: Origin,
    pub check: fn(&str) -> Result<(), BuildError>,
    pub open: fn(String, OpenCx) -> OpenFuture,
}

impl StoreDescriptor {
    /// The descriptor of a config type, as the `register_*!` macros make it.
    pub const fn of<C: StoreConfig>(origin: Origin) -> Self {
        Self {
            name: C::NAME,
            summary: C::SUMMARY,
            url: C::URL,
            origin,
            check: C::check,
            open: C::open,
        }
    }
}
