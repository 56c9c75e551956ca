//! Constant descriptors: names, facts and `fn` pointers, made by `const fn`s that are generic over
//! a config type.

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::handler::Handler;
use crate::plugin::config::{
    BuildCx, BuildError, HandlerConfig, ProviderConfig, StoreConfig, decode,
};
use crate::provider::{Provider, Sample};
use crate::store::{OpenError, Store};

/// The crate that a plugin comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// `CARGO_PKG_NAME`.
    pub crate_name: &'static str,
    /// `CARGO_PKG_VERSION`.
    pub version: &'static str,
}

/// Makes a plugin from its `with:` block.
pub type BuildFn<T> = fn(Value, &BuildCx<'_>) -> Result<Arc<T>, BuildError>;

/// Any plugin.
#[derive(Debug, Clone, Copy)]
pub enum Plugin {
    /// A provider.
    Provider(ProviderDescriptor),
    /// A handler.
    Handler(HandlerDescriptor),
    /// A store.
    Store(StoreDescriptor),
}

impl Plugin {
    /// `provider`, `handler` or `store`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Provider(_) => "provider",
            Self::Handler(_) => "handler",
            Self::Store(_) => "store",
        }
    }

    /// The word in routes.yaml.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Provider(p) => p.name,
            Self::Handler(h) => h.name,
            Self::Store(s) => s.name,
        }
    }

    /// One line.
    pub fn summary(&self) -> &'static str {
        match self {
            Self::Provider(p) => p.summary,
            Self::Handler(h) => h.summary,
            Self::Store(s) => s.summary,
        }
    }

    /// Where it comes from.
    pub fn origin(&self) -> Origin {
        match self {
            Self::Provider(p) => p.origin,
            Self::Handler(h) => h.origin,
            Self::Store(s) => s.origin,
        }
    }
}

/// Everything known of a provider before it is built. The fields are those of [`ProviderConfig`].
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs, reason = "the fields are documented where they are given, in ProviderConfig")]
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
    pub samples: &'static [Sample],
    pub schema: fn() -> Value,
    pub scheme: fn(&Value) -> Option<Value>,
    pub build: BuildFn<dyn Provider>,
}

impl ProviderDescriptor {
    /// The descriptor of a config type.
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

/// Everything known of a handler before it is built. The fields are those of [`HandlerConfig`].
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs, reason = "the fields are documented where they are given, in HandlerConfig")]
pub struct HandlerDescriptor {
    pub name: &'static str,
    pub summary: &'static str,
    pub origin: Origin,
    pub schema: fn() -> Value,
    pub build: BuildFn<dyn Handler>,
}

impl HandlerDescriptor {
    /// The descriptor of a config type.
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

/// What a store may know while it is opened.
#[derive(Debug, Clone)]
pub struct OpenCx {
    /// Relative paths start here: the folder of routes.yaml.
    pub base_dir: PathBuf,
    /// The present moment: leases of a former owner are void from here on.
    pub now: crate::clock::Timestamp,
}

/// A store being opened.
pub type OpenFuture =
    Pin<Box<dyn Future<Output = Result<Arc<dyn Store>, OpenError>> + Send + 'static>>;

/// Everything known of a store before it is opened. The fields are those of [`StoreConfig`].
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs, reason = "the fields are documented where they are given, in StoreConfig")]
pub struct StoreDescriptor {
    pub name: &'static str,
    pub summary: &'static str,
    pub url: &'static str,
    pub origin: Origin,
    pub check: fn(&str) -> Result<(), BuildError>,
    pub open: fn(String, OpenCx) -> OpenFuture,
}

impl StoreDescriptor {
    /// The descriptor of a config type.
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
