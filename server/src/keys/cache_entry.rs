//! The cache entry of one document: its copy, when its address was last asked, and whether the copy
//! may be used now. Pure; `mod.rs` does the fetching.

use std::time::Duration;

use hookward_core::keys::KeyDocument;
use hookward_core::{Timestamp, VerifyError};

use super::transport::Fetched;

/// How long a copy is fresh if its owner does not send `max-age`.
const DEFAULT_FRESHNESS: Duration = Duration::from_secs(60 * 60);
/// The shortest freshness: an owner that forbids caching must not cost a fetch per delivery.
const MIN_FRESHNESS: Duration = Duration::from_secs(5 * 60);
/// The longest freshness: a revoked key is dropped within a day, whatever its owner sends.
const MAX_FRESHNESS: Duration = Duration::from_secs(24 * 60 * 60);
/// How long a copy that is no longer fresh may still be used while its owner cannot be reached, so
/// that an outage of the owner does not become one of the receiver.
const STALE_USE_DURATION: Duration = Duration::from_secs(24 * 60 * 60);
/// The shortest time between two requests to one address. Within it the last result is final: a
/// flood of forged key ids costs one request a minute.
const MIN_FETCH_INTERVAL: Duration = Duration::from_secs(60);
/// A copy that was used within this time is never evicted: made-up addresses must not displace it.
const EVICTION_IDLE_TIME: Duration = Duration::from_secs(60 * 60);

/// The copy of one document, and the times and the error that decide whether to fetch it again.
#[derive(Debug, Default)]
pub(super) struct CacheEntry {
    copy: Option<CachedCopy>,
    last_fetch: Option<Timestamp>,
    last_use: Timestamp,
    last_error: Option<String>,
}

#[derive(Debug)]
struct CachedCopy {
    document: KeyDocument,
    fresh_until: Timestamp,
}

impl CacheEntry {
    /// Returns the answer that needs no fetch; `None`: the address must be asked.
    ///
    /// A copy that is fresh, and fetched at or after `newer_than`, is an answer. If the address was
    /// asked within [`MIN_FETCH_INTERVAL`], so is whatever that gave.
    pub(super) fn cached(
        &mut self,
        newer_than: Option<Timestamp>,
        now: Timestamp,
    ) -> Option<Result<KeyDocument, VerifyError>> {
        let is_fresh = self.copy.as_ref().is_some_and(|copy| {
            let fetched_at = copy.document.fetched_at;
            let is_new_enough = newer_than.is_none_or(|time| fetched_at >= time);
            // A copy from the future was fetched before the clock was set back.
            is_new_enough && fetched_at <= now && now < copy.fresh_until
        });
        let was_just_asked =
            self.last_fetch.is_some_and(|at| at <= now && now.since(at) < MIN_FETCH_INTERVAL);
        (is_fresh || was_just_asked).then(|| self.current(now))
    }

    /// Returns the copy unless it is too old even for an outage; else why the document is
    /// unavailable.
    pub(super) fn current(&mut self, now: Timestamp) -> Result<KeyDocument, VerifyError> {
        self.last_use = now;
        let is_usable = |copy: &&CachedCopy| now < copy.fresh_until.plus(STALE_USE_DURATION);
        let document = self.copy.as_ref().filter(is_usable).map(|copy| copy.document.clone());
        document.ok_or_else(|| {
            let reason = self.last_error.clone();
            VerifyError::key_unavailable(
                reason.unwrap_or_else(|| "it could not be fetched".to_owned()),
            )
        })
    }

    /// Records that the address is asked now. Before the answer: a fetch that is cut off counts
    /// too.
    pub(super) fn start_fetch(&mut self, now: Timestamp) {
        self.last_fetch = Some(now);
        self.last_error = None;
    }

    /// Replaces the copy by a fetched document.
    pub(super) fn store(&mut self, fetched: Fetched, now: Timestamp) {
        let freshness = fetched.max_age.unwrap_or(DEFAULT_FRESHNESS);
        let fresh_until = now.plus(freshness.clamp(MIN_FRESHNESS, MAX_FRESHNESS));
        let document = KeyDocument::fetched(fetched.bytes, now);
        self.copy = Some(CachedCopy { document, fresh_until });
    }

    /// Records why a fetch failed. An older copy stays.
    pub(super) fn fail(&mut self, reason: String) {
        self.last_error = Some(reason);
    }

    /// Whether a copy was ever fetched.
    pub(super) fn has_copy(&self) -> bool {
        self.copy.is_some()
    }

    /// The rank in eviction, least first: entries without a copy, then those unused for longest.
    /// `None`: in use, not to be evicted.
    pub(super) fn eviction_rank(&self, now: Timestamp) -> Option<(bool, Timestamp)> {
        let in_use = self.copy.is_some() && now.since(self.last_use) < EVICTION_IDLE_TIME;
        (!in_use).then_some((self.copy.is_some(), self.last_use))
    }
}
