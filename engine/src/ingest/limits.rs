//! Two rate limits: a source's `limits.rate`, spent by proven requests alone, and failed proofs per
//! source and address, so that a forger cannot lock the real sender out. Both use the engine's
//! clock.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hookward_core::Timestamp;

use super::rejection::Rejection;
use crate::compiled::{Rate, Source};

/// Failed verifications that one address may make at one source.
const FAILED_PROOF_RATE: Rate = Rate { count: 60, per: Duration::from_secs(60), burst: None };
/// The most addresses whose failures are counted. Past it, buckets that have refilled are dropped.
const MAX_FAILURE_BUCKETS: usize = 100_000;

/// A bucket of the generic cell rate algorithm (GCRA): the time up to which its capacity is spent.
/// It allows a burst and then refills evenly. In nanoseconds since 1970, because at a high rate one
/// request is less than the clock's millisecond.
#[derive(Debug, Clone, Copy)]
struct Bucket(i128);

fn nanos(at: Timestamp) -> i128 {
    i128::from(at.as_millis()) * 1_000_000
}

/// The time that one request spends, and the time that a full bucket holds; both in nanoseconds.
fn interval_and_capacity(rate: Rate) -> (i128, i128) {
    let interval =
        i128::try_from(rate.per.as_nanos()).unwrap_or(i128::MAX) / i128::from(rate.count.max(1));
    let interval = interval.max(1);
    let burst = i128::from(rate.burst.unwrap_or(rate.count).max(1));
    (interval, interval.saturating_mul(burst))
}

impl Bucket {
    fn full(now: Timestamp) -> Self {
        Self(nanos(now))
    }

    /// How long until one more request is allowed; `None`: it is allowed now.
    fn wait(self, rate: Rate, now: Timestamp) -> Option<Duration> {
        let (interval, capacity) = interval_and_capacity(rate);
        // Capped: a clock that was set back must not close the bucket for longer than it takes to
        // refill.
        let latest = nanos(now).saturating_add(capacity);
        let spent_until = self.0.min(latest).max(nanos(now));
        let excess = spent_until.saturating_add(interval).saturating_sub(latest);
        (excess > 0).then(|| Duration::from_nanos(u64::try_from(excess).unwrap_or(u64::MAX)))
    }

    fn spend(&mut self, rate: Rate, now: Timestamp) {
        let (interval, capacity) = interval_and_capacity(rate);
        let latest = nanos(now).saturating_add(capacity);
        self.0 = self.0.max(nanos(now)).saturating_add(interval).min(latest);
    }
}

/// All rate limits of a process.
#[derive(Debug, Default)]
pub(super) struct Limiters {
    rates: Mutex<HashMap<Arc<str>, Bucket>>,
    failures: Mutex<HashMap<(Arc<str>, IpAddr), Bucket>>,
}

impl Limiters {
    /// Rejects an address that has made too many failed proofs at this source. Spends nothing.
    pub(super) fn check_failures(
        &self,
        source: &Source,
        client: Option<IpAddr>,
        now: Timestamp,
    ) -> Result<(), Rejection> {
        let Some(ip) = client else { return Ok(()) };
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = failures.get(&(source.name.clone(), network(ip)));
        match bucket.and_then(|b| b.wait(FAILED_PROOF_RATE, now)) {
            Some(retry_after) => Err(Rejection::RateLimited {
                retry_after,
                reason: "too many failed proofs from this address",
            }),
            None => Ok(()),
        }
    }

    /// Counts a failed proof of this address.
    pub(super) fn spend_failure(&self, source: &Source, client: Option<IpAddr>, now: Timestamp) {
        let Some(ip) = client else { return };
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        // A scan of all buckets takes too long to run for each request, so it must leave at least
        // half of them free. What is forgotten is little: a flood from 50,000 addresses is not
        // stopped by the failures of one of them.
        if failures.len() >= MAX_FAILURE_BUCKETS {
            failures.retain(|_, bucket| bucket.0 > nanos(now));
            if failures.len() >= MAX_FAILURE_BUCKETS / 2 {
                failures.clear();
            }
        }
        let key = (source.name.clone(), network(ip));
        failures.entry(key).or_insert(Bucket::full(now)).spend(FAILED_PROOF_RATE, now);
    }

    /// Spends one request of the source's rate, or rejects where that is exhausted.
    pub(super) fn spend_rate(&self, source: &Source, now: Timestamp) -> Result<(), Rejection> {
        let Some(rate) = source.limits.rate else { return Ok(()) };
        let mut rates = self.rates.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = rates.entry(source.name.clone()).or_insert(Bucket::full(now));
        if let Some(retry_after) = bucket.wait(rate, now) {
            return Err(Rejection::RateLimited { retry_after, reason: "over `limits.rate`" });
        }
        bucket.spend(rate, now);
        Ok(())
    }
}

/// The address that failures are counted for. An IPv6 sender can use any address of its /64.
fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_allows_its_whole_count_as_a_burst_and_refills_evenly() {
        let rate = Rate::parse("100/min").unwrap();
        let start = Timestamp::from_secs(1_000);
        let mut bucket = Bucket::full(start);
        for n in 0..100 {
            assert_eq!(bucket.wait(rate, start), None, "{n}");
            bucket.spend(rate, start);
        }
        assert_eq!(bucket.wait(rate, start), Some(Duration::from_millis(600)));
        let later = start.plus(Duration::from_millis(600));
        assert_eq!(bucket.wait(rate, later), None);
        bucket.spend(rate, later);
        assert!(bucket.wait(rate, later).is_some());
    }

    #[test]
    fn a_burst_setting_lowers_the_burst() {
        let rate = Rate { burst: Some(2), ..Rate::parse("60/min").unwrap() };
        let now = Timestamp::from_secs(0);
        let mut bucket = Bucket::full(now);
        bucket.spend(rate, now);
        assert_eq!(bucket.wait(rate, now), None);
        bucket.spend(rate, now);
        assert_eq!(bucket.wait(rate, now), Some(Duration::from_secs(1)));
    }

    #[test]
    fn a_clock_set_back_closes_a_bucket_for_at_most_its_refill_time() {
        let rate = Rate::parse("10/min").unwrap();
        let bucket = Bucket::full(Timestamp::from_secs(1_000_000));
        let wait = bucket.wait(rate, Timestamp::from_secs(0)).unwrap();
        assert!(wait <= Duration::from_secs(6));
    }
}
