//! Keys that live with senders, over the network: each document is fetched once for all who ask at a
//! time, kept while it is fresh, and used a while longer where its owner is out of reach. Called by
//! providers through the engine, while a sender waits.

mod budget;
mod cache_entry;
mod transport;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use hookward_core::keys::{KeyDocument, KeyRequest, split_https_url};
use hookward_core::{Clock, KeySource, VerifyError};
use tokio::sync::Mutex as AsyncMutex;

use budget::Budget;
use cache_entry::CacheEntry;
use transport::{Https, Transport};

/// How many documents are kept.
const MAX_DOCUMENTS: usize = 256;

type CacheEntries = HashMap<KeyRequest, Arc<AsyncMutex<CacheEntry>>>;

/// Fetches keys over https from public addresses: no redirects, 5 s and 256 KiB at most. A document is
/// fresh as long as its owner says, within five minutes and a day; an address is asked at most once a
/// minute; where it is out of reach, the old copy serves another day.
#[derive(Clone)]
pub struct NetworkKeys {
    clock: Arc<dyn Clock>,
    transport: Arc<dyn Transport>,
    slots: Arc<Mutex<CacheEntries>>,
    budget: Arc<Mutex<Budget>>,
}

impl NetworkKeys {
    /// With the public roots of trust.
    ///
    /// # Errors
    /// Where TLS cannot be set up.
    pub fn new(clock: Arc<dyn Clock>) -> Result<Self, String> {
        Ok(Self::over(clock, Arc::new(Https::new()?)))
    }

    fn over(clock: Arc<dyn Clock>, transport: Arc<dyn Transport>) -> Self {
        Self { clock, transport, slots: Arc::default(), budget: Arc::default() }
    }

    /// The place of a document; `None` where there is no room for another.
    fn slot(&self, address: &KeyRequest) -> Option<Arc<AsyncMutex<CacheEntry>>> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = slots.get(address) {
            return Some(slot.clone());
        }
        if slots.len() >= MAX_DOCUMENTS {
            let now = self.clock.now();
            // What is being fetched is locked, and stays.
            let worth = |slot: &Arc<AsyncMutex<CacheEntry>>| Some(slot.try_lock().ok()?.worth(now));
            let least = slots
                .iter()
                .filter_map(|(address, slot)| Some((worth(slot)??, address)))
                .min_by_key(|(worth, _)| *worth)
                .map(|(_, address)| address.clone())?;
            slots.remove(&least);
        }
        Some(slots.entry(address.clone()).or_default().clone())
    }

    /// Whether this host may be asked for one more document that nobody has.
    fn may_ask(&self, url: &str) -> bool {
        let host = split_https_url(url).map_or("", |(host, _)| host);
        let mut budget = self.budget.lock().unwrap_or_else(PoisonError::into_inner);
        budget.spend(host, self.clock.now())
    }

    async fn look_up(
        &self,
        slot: &mut CacheEntry,
        want: &KeyRequest,
    ) -> Result<KeyDocument, VerifyError> {
        let now = self.clock.now();
        if let Some(document) = slot.answer(want.newer_than, now) {
            return document;
        }
        if !slot.holds_any() && !self.may_ask(&want.url) {
            return Err(VerifyError::key_unavailable("its host was asked for too many documents"));
        }
        slot.asked(now);
        let body = want.post.as_ref().map(|question| &question.0);
        match self.transport.fetch(&want.url, body).await {
            Ok(fetched) => slot.keep(fetched, self.clock.now()),
            Err(reason) => {
                let (host, _) = split_https_url(&want.url).unwrap_or_default();
                tracing::warn!(host, %reason, "a sender's keys could not be fetched");
                slot.failed(reason);
            }
        }
        slot.last(now)
    }
}

#[async_trait]
impl KeySource for NetworkKeys {
    async fn fetch(&self, want: &KeyRequest) -> Result<KeyDocument, VerifyError> {
        if split_https_url(&want.url).is_none() {
            return Err(VerifyError::key_unavailable("its address is no plain https URL"));
        }
        let address = want.of_any_age();
        let slot = self
            .slot(&address)
            .ok_or_else(|| VerifyError::key_unavailable("too many documents are being fetched"))?;
        let (keys, want) = (self.clone(), want.clone());
        // A task of its own: a sender that hangs up must not take the answer from those who wait with it.
        let looking = tokio::spawn(async move {
            let mut slot = slot.lock_owned().await;
            keys.look_up(&mut slot, &want).await
        });
        looking.await.map_err(|_| VerifyError::key_unavailable("fetching it ended early"))?
    }

    async fn confirm(&self, url: &str) -> Result<(), VerifyError> {
        if split_https_url(url).is_none() {
            return Err(VerifyError::key_unavailable(
                "the address to confirm is no plain https URL",
            ));
        }
        if !self.may_ask(url) {
            return Err(VerifyError::key_unavailable("its host was called too often"));
        }
        self.transport.fetch(url, None).await.map(drop).map_err(VerifyError::key_unavailable)
    }
}

impl fmt::Debug for NetworkKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let documents = self.slots.lock().unwrap_or_else(PoisonError::into_inner).len();
        f.debug_struct("NetworkKeys").field("documents", &documents).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
