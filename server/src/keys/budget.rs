//! Bounds how many new documents a host is asked for. Senders choose addresses on pinned hosts (a
//! certificate URL, a key id), so without a bound anyone could make this server flood such a host.
//! Each client has a share of the bound, so that whoever makes addresses up does not keep the keys of
//! genuine senders from being fetched.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use hookward_core::Timestamp;

/// The most documents that are not cached yet and may be fetched from one host within [`WINDOW`].
const MAX_FETCHES_PER_WINDOW: u32 = 30;
/// How many of them one client may cause.
const MAX_FETCHES_PER_CLIENT: u32 = 6;
/// The length of the fixed window in which fetches are counted.
const WINDOW: Duration = Duration::from_secs(60);
/// The most hosts that are counted at the same time. Providers pin hosts, so there are few.
const MAX_HOSTS: usize = 256;

/// The fetches of the current window, by host.
#[derive(Debug, Default)]
pub(super) struct FetchBudget(HashMap<String, HostWindow>);

/// The fetches from one host since a time. Only fetches that are allowed are counted, so there are
/// no more clients than these.
#[derive(Debug)]
struct HostWindow {
    start: Timestamp,
    spent: u32,
    by_client: HashMap<IpAddr, u32>,
}

impl FetchBudget {
    /// Counts one fetch from `host` and returns whether it is within the budget, and within the
    /// share of the client that causes it. `None`: a proven sender causes it, who needs no share.
    pub(super) fn try_spend(&mut self, host: &str, client: Option<IpAddr>, now: Timestamp) -> bool {
        // A window that begins in the future was opened before the clock was set back.
        let is_over = |start: Timestamp| now < start || now.since(start) >= WINDOW;
        if self.0.len() >= MAX_HOSTS && !self.0.contains_key(host) {
            self.0.retain(|_, window| !is_over(window.start));
            if self.0.len() >= MAX_HOSTS {
                return false;
            }
        }
        let new = || HostWindow { start: now, spent: 0, by_client: HashMap::new() };
        let window = self.0.entry(host.to_owned()).or_insert_with(new);
        if is_over(window.start) {
            *window = new();
        }
        if window.spent >= MAX_FETCHES_PER_WINDOW {
            return false;
        }
        if let Some(client) = client {
            let of_client = window.by_client.entry(client).or_default();
            if *of_client >= MAX_FETCHES_PER_CLIENT {
                return false;
            }
            *of_client += 1;
        }
        window.spent += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(n: u8) -> Option<IpAddr> {
        Some(IpAddr::from([198, 51, 100, n]))
    }

    #[test]
    fn fetches_are_limited_per_host_and_minute() {
        let mut budget = FetchBudget::default();
        let at = Timestamp::from_secs;
        let mut spend = |host: &str, n: u8, seconds| budget.try_spend(host, client(n), at(seconds));
        let all = MAX_FETCHES_PER_WINDOW as u8;
        assert!((0..all).all(|n| spend("a.example", n, 100)));
        assert!(!spend("a.example", all, 159));
        assert!(spend("b.example", all, 159));
        assert!(spend("a.example", all, 160));
        assert!(spend("a.example", all, 1), "a clock that was set back");
    }

    #[test]
    fn the_made_up_documents_of_one_client_leave_fetches_for_others() {
        let mut budget = FetchBudget::default();
        let now = Timestamp::from_secs(100);
        let spent = (0..10_000).filter(|_| budget.try_spend("a.example", client(1), now)).count();
        assert_eq!(spent, 6);
        assert!(budget.try_spend("a.example", client(2), now));
        assert!(budget.try_spend("a.example", None, now));
    }

    #[test]
    fn the_number_of_counted_hosts_is_bounded() {
        let mut budget = FetchBudget::default();
        let at = Timestamp::from_secs;
        let mut spend = |host: &str, seconds| budget.try_spend(host, client(1), at(seconds));
        assert!((0..MAX_HOSTS).all(|n| spend(&format!("{n}.example"), 100)));
        assert!(!spend("one-more.example", 100));
        assert!(spend("one-more.example", 160));
        assert_eq!(budget.0.len(), 1);
    }
}
