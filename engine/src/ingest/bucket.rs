//! The bucket behind the rate limits: a burst is allowed, and the bucket refills evenly. Pure; the
//! time is the engine's clock.

use std::time::Duration;

use hookward_core::Timestamp;

use crate::compiled::Rate;

/// A bucket of the generic cell rate algorithm (GCRA): the time up to which its capacity is spent.
/// It allows a burst and then refills evenly. In nanoseconds since 1970, because at a high rate one
/// request is less than the clock's millisecond.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bucket(i128);

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
    /// A bucket of which nothing is spent.
    pub(super) fn full(now: Timestamp) -> Self {
        Self(nanos(now))
    }

    /// How long until one more request is allowed; `None`: it is allowed now.
    pub(super) fn wait(self, rate: Rate, now: Timestamp) -> Option<Duration> {
        let (interval, capacity) = interval_and_capacity(rate);
        // Capped: a clock that was set back must not close the bucket for longer than it takes to
        // refill.
        let latest = nanos(now).saturating_add(capacity);
        let spent_until = self.0.min(latest).max(nanos(now));
        let excess = spent_until.saturating_add(interval).saturating_sub(latest);
        (excess > 0).then(|| Duration::from_nanos(u64::try_from(excess).unwrap_or(u64::MAX)))
    }

    /// Spends one request.
    pub(super) fn spend(&mut self, rate: Rate, now: Timestamp) {
        let (interval, capacity) = interval_and_capacity(rate);
        let latest = nanos(now).saturating_add(capacity);
        self.0 = self.0.max(nanos(now)).saturating_add(interval).min(latest);
    }

    /// Takes one spent request back.
    pub(super) fn refund(&mut self, rate: Rate) {
        let (interval, _) = interval_and_capacity(rate);
        self.0 = self.0.saturating_sub(interval);
    }

    /// Whether nothing of the bucket is spent any more.
    pub(super) fn is_full(self, now: Timestamp) -> bool {
        self.0 <= nanos(now)
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

    #[test]
    fn a_refund_allows_one_more_request() {
        let rate = Rate { burst: Some(1), ..Rate::parse("60/min").unwrap() };
        let now = Timestamp::from_secs(0);
        let mut bucket = Bucket::full(now);
        bucket.spend(rate, now);
        assert!(bucket.wait(rate, now).is_some());
        bucket.refund(rate);
        assert_eq!(bucket.wait(rate, now), None);
        assert!(bucket.is_full(now));
    }
}
