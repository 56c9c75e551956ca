//! A source's `limits.rate`. Only new events spend it: a request reserves its part before the commit,
//! because the rate bounds what reaches the store, and gets it back if it was a duplicate or was not
//! stored. So whoever repeats a captured request does not exhaust the rate of its sender.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hookward_core::Timestamp;
use tokio::sync::Notify;
use tokio::time::timeout_at;

use super::bucket::Bucket;
use super::rejection::Rejection;
use crate::compiled::{Rate, Source};

/// How long a request waits for others to return what they have reserved. As long as a commit may
/// take: by then each of them is known as new, or as a duplicate.
const RESERVATION_TIMEOUT: Duration = Duration::from_secs(2);

/// The rates of all sources of a process.
#[derive(Debug, Default)]
pub(super) struct SourceRates(Mutex<HashMap<Arc<str>, Arc<SourceRate>>>);

#[derive(Debug)]
struct SourceRate {
    state: Mutex<RateState>,
    /// Notified when a reservation ends, with or without a refund.
    ended: Notify,
}

#[derive(Debug)]
struct RateState {
    bucket: Bucket,
    /// Requests that have spent their part and may still return it.
    reserved: usize,
}

/// One request's part of a rate. Dropping it returns the part; [`Self::spend`] keeps it spent.
#[derive(Debug)]
pub(super) struct RateReservation(Option<(Arc<SourceRate>, Rate)>);

impl SourceRates {
    /// Reserves one request of the source's rate, or rejects if it is exhausted. Waits while the
    /// rate is exhausted only by requests that may turn out to be duplicates.
    pub(super) async fn reserve(
        &self,
        source: &Source,
        now: Timestamp,
    ) -> Result<RateReservation, Rejection> {
        let Some(rate) = source.limits.rate else { return Ok(RateReservation(None)) };
        let source_rate = self.of_source(source, now);
        let deadline = tokio::time::Instant::now() + RESERVATION_TIMEOUT;
        loop {
            // Registered before the bucket is read: a reservation that ends in between is noticed.
            let ended = source_rate.ended.notified();
            tokio::pin!(ended);
            ended.as_mut().enable();
            let retry_after = {
                let mut state = source_rate.lock();
                let Some(retry_after) = state.bucket.wait(rate, now) else {
                    state.bucket.spend(rate, now);
                    state.reserved += 1;
                    drop(state);
                    return Ok(RateReservation(Some((source_rate.clone(), rate))));
                };
                if state.reserved == 0 {
                    return Err(exhausted(retry_after));
                }
                retry_after
            };
            if timeout_at(deadline, ended).await.is_err() {
                return Err(exhausted(retry_after));
            }
        }
    }

    fn of_source(&self, source: &Source, now: Timestamp) -> Arc<SourceRate> {
        let mut rates = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || {
            let state = Mutex::new(RateState { bucket: Bucket::full(now), reserved: 0 });
            Arc::new(SourceRate { state, ended: Notify::new() })
        };
        rates.entry(source.name.clone()).or_insert_with(new).clone()
    }
}

fn exhausted(retry_after: Duration) -> Rejection {
    Rejection::RateLimited { retry_after, reason: "over `limits.rate`" }
}

impl SourceRate {
    fn lock(&self) -> std::sync::MutexGuard<'_, RateState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RateReservation {
    /// Keeps the part spent: the request brought a new event.
    pub(super) fn spend(mut self) {
        let Some((source_rate, _)) = self.0.take() else { return };
        source_rate.lock().reserved -= 1;
        source_rate.ended.notify_waiters();
    }
}

impl Drop for RateReservation {
    fn drop(&mut self) {
        let Some((source_rate, rate)) = self.0.take() else { return };
        let mut state = source_rate.lock();
        state.reserved -= 1;
        state.bucket.refund(rate);
        drop(state);
        source_rate.ended.notify_waiters();
    }
}
