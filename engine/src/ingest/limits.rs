//! Two buckets: a source's rate, spent by proven requests alone, and failed proofs per source and
//! address, so that a forger cannot lock the real sender out. Times are the engine's clock.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hookward_core::Timestamp;

use crate::compiled::{Rate, Source};
use crate::ingest::rejection::Rejection;

/// Failed proofs that one address may make at one source.
const FAILURES: Rate = Rate { count: 60, per: Duration::from_secs(60), burst: None };
/// Buckets kept at most; beyond it those that are full again are forgotten.
const MAX_BUCKETS: usize = 100_000;

/// A bucket as the moment up to which it is spent (GCRA): so many come at once, and it refills evenly.
/// In nanoseconds since 1970, because a share of a high rate is less than a clock's millisecond.
#[derive(Debug, Clone, Copy)]
struct Bucket(i128);

fn nanos(at: Timestamp) -> i128 {
    i128::from(at.as_millis()) * 1_000_000
}

/// What one request takes, and what the bucket holds.
fn share_and_whole(rate: Rate) -> (i128, i128) {
    let share =
        i128::try_from(rate.per.as_nanos()).unwrap_or(i128::MAX) / i128::from(rate.count.max(1));
    let share = share.max(1);
    (share, share.saturating_mul(i128::from(rate.burst.unwrap_or(rate.count).max(1))))
}

impl Bucket {
    fn fresh(now: Timestamp) -> Self {
        Self(nanos(now))
    }

    /// How long until one more fits; `None`: now.
    fn wait(self, rate: Rate, now: Timestamp) -> Option<Duration> {
        let (share, whole) = share_and_whole(rate);
        // A clock that was set back must not close the bucket for longer than it takes to refill.
        let full = nanos(now).saturating_add(whole);
        let spent = self.0.min(full).max(nanos(now));
        let over = spent.saturating_add(share).saturating_sub(full);
        (over > 0).then(|| Duration::from_nanos(u64::try_from(over).unwrap_or(u64::MAX)))
    }

    fn spend(&mut self, rate: Rate, now: Timestamp) {
        let (share, whole) = share_and_whole(rate);
        let full = nanos(now).saturating_add(whole);
        self.0 = self.0.max(nanos(now)).saturating_add(share).min(full);
    }
}

#[derive(Debug, Default)]
pub(crate) struct Limiters {
    rates: Mutex<HashMap<Arc<str>, Bucket>>,
    failures: Mutex<HashMap<(Arc<str>, IpAddr), Bucket>>,
}

impl Limiters {
    /// Whether this address has made too many failed proofs here. Spends nothing.
    pub(crate) fn may_try(
        &self,
        source: &Source,
        client: Option<IpAddr>,
        now: Timestamp,
    ) -> Result<(), Rejection> {
        let Some(ip) = client else { return Ok(()) };
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = failures.get(&(source.name.clone(), network(ip)));
        match bucket.and_then(|b| b.wait(FAILURES, now)) {
            Some(retry_after) => Err(Rejection::RateLimited {
                retry_after,
                reason: "too many failed proofs from this address",
            }),
            None => Ok(()),
        }
    }

    /// A failed proof.
    pub(crate) fn spend_failure(&self, source: &Source, client: Option<IpAddr>, now: Timestamp) {
        let Some(ip) = client else { return };
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        // Going through all of them takes too long to be done often; a flood from so many addresses
        // is not stopped by what one of them has spent.
        if failures.len() >= MAX_BUCKETS {
            failures.retain(|_, bucket| bucket.0 > nanos(now));
            if failures.len() >= MAX_BUCKETS / 2 {
                failures.clear();
            }
        }
        let bucket =
            failures.entry((source.name.clone(), network(ip))).or_insert(Bucket::fresh(now));
        bucket.spend(FAILURES, now);
    }

    /// A proven request: spends the source's rate, or is over it.
    pub(crate) fn spend_rate(&self, source: &Source, now: Timestamp) -> Result<(), Rejection> {
        let Some(rate) = source.limits.rate else { return Ok(()) };
        let mut rates = self.rates.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = rates.entry(source.name.clone()).or_insert(Bucket::fresh(now));
        if let Some(retry_after) = bucket.wait(rate, now) {
            return Err(Rejection::RateLimited { retry_after, reason: "over the source's rate" });
        }
        bucket.spend(rate, now);
        Ok(())
    }
}

/// One IPv6 sender holds a whole /64.
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
    fn a_hundred_a_minute_come_at_once_and_refill_evenly() {
        let rate = Rate::parse("100/min").unwrap();
        let start = Timestamp::from_secs(1_000);
        let mut bucket = Bucket::fresh(start);
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
    fn a_burst_lowers_what_comes_at_once() {
        let rate = Rate { burst: Some(2), ..Rate::parse("60/min").unwrap() };
        let now = Timestamp::from_secs(0);
        let mut bucket = Bucket::fresh(now);
        bucket.spend(rate, now);
        assert_eq!(bucket.wait(rate, now), None);
        bucket.spend(rate, now);
        assert_eq!(bucket.wait(rate, now), Some(Duration::from_secs(1)));
    }

    #[test]
    fn a_clock_set_back_closes_a_bucket_for_no_longer_than_its_span() {
        let rate = Rate::parse("10/min").unwrap();
        let bucket = Bucket::fresh(Timestamp::from_secs(1_000_000));
        let wait = bucket.wait(rate, Timestamp::from_secs(0)).unwrap();
        assert!(wait <= Duration::from_secs(6));
    }
}
