//! How many new documents a host is asked for: whoever sends requests chooses addresses on pinned
//! hosts, and may not make us ask them without end.

use std::collections::HashMap;
use std::time::Duration;

use hookward_core::Timestamp;

/// So many documents that nobody has may be asked for at one host within [`WINDOW`].
const EACH: u32 = 30;
const WINDOW: Duration = Duration::from_secs(60);
/// Hosts are pinned by providers, so there are few.
const MAX_HOSTS: usize = 256;

/// What was spent, by host.
#[derive(Debug, Default)]
pub(super) struct Budget(HashMap<String, (Timestamp, u32)>);

impl Budget {
    /// Takes one, if there is one left.
    pub(super) fn spend(&mut self, host: &str, now: Timestamp) -> bool {
        let over = |since: Timestamp| now < since || now.since(since) >= WINDOW;
        if self.0.len() >= MAX_HOSTS && !self.0.contains_key(host) {
            self.0.retain(|_, (since, _)| !over(*since));
            if self.0.len() >= MAX_HOSTS {
                return false;
            }
        }
        let (since, spent) = self.0.entry(host.to_owned()).or_insert((now, 0));
        if over(*since) {
            (*since, *spent) = (now, 0);
        }
        *spent = spent.saturating_add(1);
        *spent <= EACH
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_asked_so_often_in_a_minute_and_others_are_not_held_up() {
        let mut budget = Budget::default();
        let at = Timestamp::from_secs;
        assert!((0..EACH).all(|_| budget.spend("a.example", at(100))));
        assert!(!budget.spend("a.example", at(159)));
        assert!(budget.spend("b.example", at(159)));
        assert!(budget.spend("a.example", at(160)));
        assert!(budget.spend("a.example", at(1)), "a clock that was set back");
    }

    #[test]
    fn hosts_are_bounded() {
        let mut budget = Budget::default();
        let at = Timestamp::from_secs;
        assert!((0..MAX_HOSTS).all(|n| budget.spend(&format!("{n}.example"), at(100))));
        assert!(!budget.spend("one-more.example", at(100)));
        assert!(budget.spend("one-more.example", at(160)));
        assert_eq!(budget.0.len(), 1);
    }
}
