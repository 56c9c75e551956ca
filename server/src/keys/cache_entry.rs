//! One document: its copy, when it was asked for, and what of that may be answered now. Pure.

use std::time::Duration;

use hookward_core::keys::KeyDocument;
use hookward_core::{Timestamp, VerifyError};

use super::transport::Fetched;

/// A copy is fresh this long where its owner does not say, and at least and at most so long.
const FRESH: Duration = Duration::from_secs(60 * 60);
const FRESH_AT_LEAST: Duration = Duration::from_secs(5 * 60);
const FRESH_AT_MOST: Duration = Duration::from_secs(24 * 60 * 60);
/// An old copy is used so much longer while its owner is out of reach.
const OUTAGE: Duration = Duration::from_secs(24 * 60 * 60);
/// An address is asked at most this often.
const ASK_AGAIN: Duration = Duration::from_secs(60);
/// A copy that was used within this time does not give way to others.
const IN_USE: Duration = Duration::from_secs(60 * 60);

/// The place of a document.
#[derive(Debug, Default)]
pub(super) struct CacheEntry {
    copy: Option<Copy>,
    asked: Option<Timestamp>,
    used: Timestamp,
    failure: Option<String>,
}

#[derive(Debug)]
struct Copy {
    document: KeyDocument,
    fresh_until: Timestamp,
}

impl CacheEntry {
    /// What can be answered without asking; `None`: ask. Not fresh, or older than somebody wants, is
    /// good enough where the address was asked less than a minute ago.
    pub(super) fn answer(
        &mut self,
        newer_than: Option<Timestamp>,
        now: Timestamp,
    ) -> Option<Result<KeyDocument, VerifyError>> {
        let fresh = self.copy.as_ref().is_some_and(|copy| {
            let fetched_at = copy.document.fetched_at;
            let new_enough = newer_than.is_none_or(|moment| fetched_at >= moment);
            // A copy from the future was fetched before the clock was set back.
            new_enough && fetched_at <= now && now < copy.fresh_until
        });
        let just_asked = self.asked.is_some_and(|at| at <= now && now.since(at) < ASK_AGAIN);
        (fresh || just_asked).then(|| self.last(now))
    }

    /// The copy, if it is not too old, else why there is none.
    pub(super) fn last(&mut self, now: Timestamp) -> Result<KeyDocument, VerifyError> {
        self.used = now;
        let usable = |copy: &&Copy| now < copy.fresh_until.plus(OUTAGE);
        let document = self.copy.as_ref().filter(usable).map(|copy| copy.document.clone());
        document.ok_or_else(|| {
            let reason = self.failure.clone();
            VerifyError::key_unavailable(
                reason.unwrap_or_else(|| "it could not be fetched".to_owned()),
            )
        })
    }

    /// The address is being asked.
    pub(super) fn asked(&mut self, now: Timestamp) {
        self.asked = Some(now);
        self.failure = None;
    }

    pub(super) fn keep(&mut self, fetched: Fetched, now: Timestamp) {
        let fresh = fetched.max_age.unwrap_or(FRESH).clamp(FRESH_AT_LEAST, FRESH_AT_MOST);
        let document = KeyDocument::fetched(fetched.bytes, now);
        self.copy = Some(Copy { document, fresh_until: now.plus(fresh) });
    }

    pub(super) fn failed(&mut self, reason: String) {
        self.failure = Some(reason);
    }

    pub(super) fn holds_any(&self) -> bool {
        self.copy.is_some()
    }

    /// How little is lost with it: first what holds nothing, then what was used longest ago; `None`:
    /// it is in use.
    pub(super) fn worth(&self, now: Timestamp) -> Option<(bool, Timestamp)> {
        let in_use = self.copy.is_some() && now.since(self.used) < IN_USE;
        (!in_use).then_some((self.copy.is_some(), self.used))
    }
}
