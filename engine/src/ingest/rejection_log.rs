//! Samples the log lines of rejected requests, so that whoever sends many of them cannot fill the
//! log: a few lines a minute for each source, code and address. A line says how many like it were
//! left out before it; the metrics count all of them.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hookward_core::Timestamp;

use super::bucket::Bucket;
use super::client_ip::client_group;
use crate::compiled::Rate;

/// Lines for one source, code and address.
const LINES_PER_ADDRESS: Rate = Rate { count: 5, per: Duration::from_secs(60), burst: None };
/// Lines for one source and code, from all addresses together.
const LINES_PER_KIND: Rate = Rate { count: 60, per: Duration::from_secs(60), burst: None };
/// Addresses that are remembered for one source and code.
const MAX_ADDRESSES: usize = 1_000;

/// What was logged of the rejections of a process.
#[derive(Debug, Default)]
pub(super) struct RejectionLog(Mutex<HashMap<&'static str, HashMap<String, Kind>>>);

/// The rejections of one source with one code.
#[derive(Debug)]
struct Kind {
    lines: Bucket,
    addresses: HashMap<Option<IpAddr>, Bucket>,
    left_out: u64,
}

impl RejectionLog {
    /// Returns whether to log a rejection: `Some` with the number of rejections of its source and
    /// code that were left out since the last line about them.
    pub(super) fn sample(
        &self,
        source: &str,
        code: &'static str,
        client: Option<IpAddr>,
        now: Timestamp,
    ) -> Option<u64> {
        let mut kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let sources = kinds.entry(code).or_default();
        // Looked up before it is added: nearly every rejection is of a kind that is known.
        if !sources.contains_key(source) {
            sources.insert(source.to_owned(), Kind::new(now));
        }
        sources.get_mut(source)?.sample(client.map(client_group), now)
    }
}

impl Kind {
    fn new(now: Timestamp) -> Self {
        Self { lines: Bucket::full(now), addresses: HashMap::new(), left_out: 0 }
    }

    fn sample(&mut self, address: Option<IpAddr>, now: Timestamp) -> Option<u64> {
        if self.addresses.len() >= MAX_ADDRESSES {
            self.addresses.retain(|_, lines| !lines.is_full(now));
            // The bound for all addresses still holds when those that are left are forgotten.
            if self.addresses.len() >= MAX_ADDRESSES / 2 {
                self.addresses.clear();
            }
        }
        let of_address = self.addresses.entry(address).or_insert_with(|| Bucket::full(now));
        let is_over = of_address.wait(LINES_PER_ADDRESS, now).is_some()
            || self.lines.wait(LINES_PER_KIND, now).is_some();
        if is_over {
            self.left_out += 1;
            return None;
        }
        of_address.spend(LINES_PER_ADDRESS, now);
        self.lines.spend(LINES_PER_KIND, now);
        Some(std::mem::take(&mut self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_secs(1_760_000_000);

    fn address(n: u16) -> Option<IpAddr> {
        let [high, low] = n.to_be_bytes();
        Some(IpAddr::from([198, 51, high, low]))
    }

    fn logged(log: &RejectionLog, times: usize, client: Option<IpAddr>, now: Timestamp) -> usize {
        let sample = |_: &usize| log.sample("stripe", "INVALID_SIGNATURE", client, now).is_some();
        (0..times).filter(sample).count()
    }

    #[test]
    fn one_address_gets_five_lines_a_minute_and_the_next_line_counts_what_was_left_out() {
        let log = RejectionLog::default();
        assert_eq!(logged(&log, 1_000, address(1), START), 5);
        let later = START.plus(Duration::from_secs(60));
        let next = log.sample("stripe", "INVALID_SIGNATURE", address(1), later);
        assert_eq!(next, Some(995));
    }

    #[test]
    fn other_addresses_codes_and_sources_are_logged_beside_a_flood() {
        let log = RejectionLog::default();
        logged(&log, 1_000, address(1), START);
        assert_eq!(log.sample("stripe", "INVALID_SIGNATURE", address(2), START), Some(995));
        assert_eq!(log.sample("stripe", "MISSING_SIGNATURE", address(1), START), Some(0));
        assert_eq!(log.sample("github", "INVALID_SIGNATURE", address(1), START), Some(0));
    }

    #[test]
    fn a_flood_from_many_addresses_gets_sixty_lines_a_minute_and_bounded_memory() {
        let log = RejectionLog::default();
        let lines: usize = (0..5_000).map(|n| logged(&log, 3, address(n), START)).sum();
        assert_eq!(lines, 60);
        let kinds = log.0.lock().unwrap();
        assert!(kinds["INVALID_SIGNATURE"]["stripe"].addresses.len() <= MAX_ADDRESSES);
    }
}
