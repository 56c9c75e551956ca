//! Keys that senders publish, over the network: each document is fetched once for all deliveries
//! that need it at the same time, cached while it is fresh, and used a while longer if its owner
//! cannot be reached. Called by providers through the engine, while a sender waits for its answer.

mod budget;
mod cache_entry;
mod transport;

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use hookward_core::keys::{KeyDocument, KeyRequest, split_https_url};
use hookward_core::{Clock, KeySource, VerifyError};
use tokio::sync::Mutex as AsyncMutex;

use crate::telemetry;
use budget::FetchBudget;
use cache_entry::CacheEntry;
use transport::{Https, Transport};

/// The most documents in the cache.
const MAX_DOCUMENTS: usize = 256;

/// An entry is locked while its document is fetched, so that others who need it wait for the
/// result.
type SharedEntry = Arc<AsyncMutex<CacheEntry>>;

/// Fetches the keys that senders publish (JWKS, certificates) over https and caches them.
///
/// Connects to public addresses only, follows no redirects, and reads at most 256 KiB within 5 s. A
/// copy is fresh for its `max-age`, at least 5 minutes and at most a day, without one an hour; an
/// address is asked at most once a minute; while its owner cannot be reached, a copy is used for
/// another day. A clone shares the cache.
///
/// ```
/// use std::sync::Arc;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// // An app uses these by default. One of its own wraps them, or implements `KeySource` otherwise.
/// let keys = hookward::NetworkKeys::new(Arc::new(hookward_core::SystemClock))?;
/// let app = hookward::App::from_file("routes.yaml")?.keys(Arc::new(keys));
/// # let _ = app;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct NetworkKeys {
    clock: Arc<dyn Clock>,
    transport: Arc<dyn Transport>,
    entries: Arc<Mutex<HashMap<KeyRequest, SharedEntry>>>,
    budget: Arc<Mutex<FetchBudget>>,
}

impl NetworkKeys {
    /// Creates an empty cache that trusts Mozilla's root certificates. `clock` decides how old a
    /// copy is.
    ///
    /// # Errors
    /// If TLS cannot be set up.
    pub fn new(clock: Arc<dyn Clock>) -> Result<Self, String> {
        Ok(Self::with_transport(clock, Arc::new(Https::new()?)))
    }

    fn with_transport(clock: Arc<dyn Clock>, transport: Arc<dyn Transport>) -> Self {
        Self { clock, transport, entries: Arc::default(), budget: Arc::default() }
    }

    /// Returns the entry of a document, in place of the least valuable one if the cache is full.
    /// `None`: every entry is in use.
    fn entry(&self, address: &KeyRequest) -> Option<SharedEntry> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = entries.get(address) {
            return Some(entry.clone());
        }
        if entries.len() >= MAX_DOCUMENTS {
            let now = self.clock.now();
            // A locked entry is being fetched, so somebody waits for it.
            let rank = |entry: &SharedEntry| entry.try_lock().ok()?.eviction_rank(now);
            let evicted = entries
                .iter()
                .filter_map(|(address, entry)| Some((rank(entry)?, address)))
                .min_by_key(|(rank, _)| *rank)
                .map(|(_, address)| address.clone())?;
            entries.remove(&evicted);
        }
        Some(entries.entry(address.clone()).or_default().clone())
    }

    /// Counts a request to the host of `url` and returns whether the host's budget allows it.
    fn try_spend(&self, url: &str, client: Option<IpAddr>) -> bool {
        let host = split_https_url(url).map_or("", |(host, _)| host);
        let mut budget = self.budget.lock().unwrap_or_else(PoisonError::into_inner);
        budget.try_spend(host, client, self.clock.now())
    }

    /// Answers from the entry, or fetches the document into it.
    async fn look_up(
        &self,
        entry: &mut CacheEntry,
        want: &KeyRequest,
    ) -> Result<KeyDocument, VerifyError> {
        let now = self.clock.now();
        if let Some(document) = entry.cached(want.newer_than, now) {
            return document;
        }
        // Only new documents spend the budget: known ones are limited to one fetch a minute, and
        // must be renewed even while a flood of made-up addresses has used the budget up.
        if !entry.has_copy() && !self.try_spend(&want.url, want.client) {
            return Err(VerifyError::key_unavailable("its host was asked for too many documents"));
        }
        entry.start_fetch(now);
        let body = want.post.as_ref().map(|body| &body.0);
        match self.transport.fetch(&want.url, body).await {
            Ok(fetched) => entry.store(fetched, self.clock.now()),
            Err(reason) => {
                let (host, _) = split_https_url(&want.url).unwrap_or_default();
                telemetry::key_fetch_failed(host, &reason);
                entry.fail(reason);
            }
        }
        entry.current(now)
    }
}

#[async_trait]
impl KeySource for NetworkKeys {
    async fn fetch(&self, want: &KeyRequest) -> Result<KeyDocument, VerifyError> {
        if split_https_url(&want.url).is_none() {
            return Err(VerifyError::key_unavailable("its address is not a plain https URL"));
        }
        // One entry however new a copy has to be.
        let address = want.of_any_age();
        let entry = self
            .entry(&address)
            .ok_or_else(|| VerifyError::key_unavailable("too many documents are being fetched"))?;
        let (keys, want) = (self.clone(), want.clone());
        // In a task of its own, so that a sender that hangs up does not cancel the fetch for which
        // other deliveries wait.
        let lookup = tokio::spawn(async move {
            let mut entry = entry.lock_owned().await;
            keys.look_up(&mut entry, &want).await
        });
        lookup.await.map_err(|_| VerifyError::key_unavailable("fetching it was cut off"))?
    }

    async fn confirm(&self, url: &str) -> Result<(), VerifyError> {
        if split_https_url(url).is_none() {
            return Err(VerifyError::key_unavailable(
                "the address to confirm is not a plain https URL",
            ));
        }
        if !self.try_spend(url, None) {
            return Err(VerifyError::key_unavailable("its host was called too often"));
        }
        self.transport.fetch(url, None).await.map(drop).map_err(VerifyError::key_unavailable)
    }
}

impl fmt::Debug for NetworkKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let documents = self.entries.lock().unwrap_or_else(PoisonError::into_inner).len();
        f.debug_struct("NetworkKeys").field("documents", &documents).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
