//! Bounds how many new documents a host is asked for. Senders choose addresses on pinned hosts (a
//! certificate URL, a key id), so without a bound anyone could make this server flood such a host.

use std::collections::HashMap;
use std::time::Duration;

use hookward_core::Timestamp;

/// The most documents that are not cached yet and may be fetched from one host within [`WINDOW`].
const MAX_FETCHES_PER_WINDOW: u32 = 30;
/// The length of the fixed window in which fetches are counted.
const WINDOW: Duration = Duration::from_secs(60);
/// The most hosts that are counted at the same time. Providers pin hosts, so there are few.
const MAX_HOSTS: usize = 256;

/// The fetches of the current window, by host: when the window began, and their number.
#[derive(Debug, Default)]
pub(super) struct FetchBudget(HashMap<String, (Timestamp, u32)>);

impl FetchBudget {
    /// Counts one fetch from `host` and returns whether it is within the budget.
    pub(super) fn try_spend(&mut self, host: &str, now: Timestamp) -> bool {
        // A window that begins in the future was opened before the clock was set back.
        let is_over = |start: Timestamp| now < start || now.since(start) >= WINDOW;
        if self.0.len() >= MAX_HOSTS && !self.0.contains_key(host) {
            self.0.retain(|_, (start, _)| !is_over(*start));
            if self.0.len() >= MAX_HOSTS {
                return false;
            }
        }
        let (start, spent) = self.0.entry(host.to_owned()).or_insert((now, 0));
        if is_over(*start) {
            (*start, *spent) = (now, 0);
        }
        *spent = spent.saturating_add(1);
        *spent <= MAX_FETCHES_PER_WINDOW
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fetches_are_limited_per_host_and_minute() {
        let mut budget = FetchBudget::default();
        let at = Timestamp::from_secs;
        assert!((0..MAX_FETCHES_PER_WINDOW).all(|_| budget.try_spend("a.example", at(100))));
        assert!(!budget.try_spend("a.example", at(159)));
        assert!(budget.try_spend("b.example", at(159)));
        assert!(budget.try_spend("a.example", at(160)));
        assert!(budget.try_spend("a.example", at(1)), "a clock that was set back");
    }

    #[test]
    fn the_number_of_counted_hosts_is_bounded() {
        let mut budget = FetchBudget::default();
        let at = Timestamp::from_secs;
        assert!((0..MAX_HOSTS).all(|n| budget.try_spend(&format!("{n}.example"), at(100))));
        assert!(!budget.try_spend("one-more.example", at(100)));
        assert!(budget.try_spend("one-more.example", at(160)));
        assert_eq!(budget.0.len(), 1);
    }
}
