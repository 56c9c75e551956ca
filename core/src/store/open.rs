//! Opening a store: what it is given, and how that fails.

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use crate::clock::Timestamp;
use crate::store::Store;

/// What a store is given when it is opened.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct OpenCx {
    /// The directory that relative paths start from: the one that holds routes.yaml.
    pub base_dir: PathBuf,
    /// The current time. Leases that a former owner holds end now.
    pub now: Timestamp,
    /// The limits that the store enforces.
    pub policy: StorePolicy,
}

impl OpenCx {
    /// A context with relative paths starting at `base_dir`.
    pub fn new(base_dir: impl Into<PathBuf>, now: Timestamp, policy: StorePolicy) -> Self {
        Self { base_dir: base_dir.into(), now, policy }
    }
}

/// Limits that the engine decides and a store enforces, because only the store sees what they
/// count.
///
/// They are given when the store is opened, so they hold for every call: the crash count is read
/// while a store recovers, before the first call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct StorePolicy {
    /// How many times the process may die while a job runs. The job is then a poison job: a store
    /// that recovers it after one more death moves it to the dead letters. Stores that do not
    /// survive the process ignore it.
    pub crash_limit: u32,
    /// How many content duplicates a store records with an event
    /// ([`ContentDuplicate`](crate::store::ContentDuplicate)). Further ones are answered as
    /// duplicates and not recorded, so that a flood of repetitions cannot fill the disk.
    pub max_content_duplicates: u32,
}

impl StorePolicy {
    /// A policy of these two limits.
    pub const fn new(crash_limit: u32, max_content_duplicates: u32) -> Self {
        Self { crash_limit, max_content_duplicates }
    }
}

/// A store being opened; the result of [`StoreConfig::open`](crate::plugin::StoreConfig::open).
pub type OpenFuture =
    Pin<Box<dyn Future<Output = Result<Arc<dyn Store>, OpenError>> + Send + 'static>>;

/// Why a store could not be opened. The message is for the operator and says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
#[non_exhaustive]
pub struct OpenError {
    /// What was found and what to do.
    pub message: String,
}

impl OpenError {
    /// An error with this message.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }
}
