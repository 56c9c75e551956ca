//! Logs requests on paths that belong to no source, with the path and the source that was probably
//! meant. Senders show such a 404 rarely, so the line is where an operator learns that a webhook was
//! set up with a wrong address. Anyone can send them, so the lines of an address, and all lines
//! together, have a rate.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hookward_core::Timestamp;

use super::bucket::Bucket;
use super::client_ip::client_group;
use crate::compiled::{CompiledConfig, Rate};
use crate::telemetry;

/// Lines for one address.
const CLIENT_RATE: Rate = Rate { count: 6, per: Duration::from_secs(3600), burst: None };
/// Lines for all addresses together.
const TOTAL_RATE: Rate = Rate { count: 60, per: Duration::from_secs(3600), burst: None };
/// The most addresses that are remembered; then all are forgotten, and `TOTAL_RATE` still holds.
const MAX_CLIENTS: usize = 1024;
/// The most characters of a path that a line shows.
const MAX_SHOWN_CHARS: usize = 200;

/// Decides which unknown paths are logged. One per process.
#[derive(Debug, Default)]
pub(super) struct UnknownPaths(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    clients: HashMap<Option<IpAddr>, Bucket>,
    total: Option<Bucket>,
    /// Requests since the last line that got none.
    omitted: u64,
}

impl UnknownPaths {
    /// Logs a request on an unknown path, unless its address or all addresses have had their lines.
    pub(super) fn report(
        &self,
        config: &CompiledConfig,
        path: &str,
        client: Option<IpAddr>,
        now: Timestamp,
    ) {
        if let Some(omitted) = self.admit(client, now) {
            let paths = config.sources_by_path.keys().map(String::as_str);
            let (nearest, differs_by) = nearest_path(path, paths).unzip();
            telemetry::log_unknown_path(&shown(path), client, nearest, differs_by, omitted);
        }
    }

    /// Whether this request gets a line; how many before it got none.
    fn admit(&self, client: Option<IpAddr>, now: Timestamp) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.clients.len() >= MAX_CLIENTS {
            state.clients.clear();
        }
        let full = Bucket::full(now);
        // First that of the address: a flood from one must not use up the lines of the others.
        let bucket = state.clients.entry(client.map(client_group)).or_insert(full);
        let allowed = bucket.wait(CLIENT_RATE, now).is_none();
        if allowed {
            bucket.spend(CLIENT_RATE, now);
        }
        let total = state.total.get_or_insert(full);
        if allowed && total.wait(TOTAL_RATE, now).is_none() {
            total.spend(TOTAL_RATE, now);
            return Some(std::mem::take(&mut state.omitted));
        }
        state.omitted += 1;
        None
    }
}

/// A path as a log line shows it: cut, and in printable ASCII.
fn shown(path: &str) -> String {
    let cut: String = path.chars().take(MAX_SHOWN_CHARS).collect();
    let more = if cut.len() < path.len() { "…" } else { "" };
    format!("{}{more}", cut.escape_default())
}

/// The path of a source that a sender probably meant, and in what the given path differs.
fn nearest_path<'a>(
    path: &str,
    sources: impl Iterator<Item = &'a str> + Clone,
) -> Option<(&'a str, &'static str)> {
    let path: String = path.chars().take(MAX_SHOWN_CHARS).collect();
    let path = path.as_str();
    let lower = path.to_ascii_lowercase();
    let slashes = |path: &str| {
        let segments = path.split('/').filter(|segment| !segment.is_empty());
        segments.collect::<Vec<_>>().join("/").to_ascii_lowercase()
    };
    let segments = slashes(path);
    if segments.is_empty() {
        return None;
    }
    let ends_with = |whole: &str, end: &str| {
        whole.strip_suffix(end).is_some_and(|start| start.is_empty() || start.ends_with('/'))
    };
    type Kind<'a> = (&'static str, &'a dyn Fn(&str) -> bool);
    let kinds: [Kind<'_>; 5] = [
        ("a trailing slash", &|source| path.trim_end_matches('/') == source.trim_end_matches('/')),
        ("letter case", &|source| lower == source.to_ascii_lowercase()),
        ("slashes and letter case", &|source| segments == slashes(source)),
        ("a prefix that the source does not have", &|source| {
            ends_with(&segments, &slashes(source))
        }),
        ("a missing prefix", &|source| ends_with(&slashes(source), &segments)),
    ];
    for (differs_by, is_near) in kinds {
        if let Some(source) = sources.clone().find(|source| is_near(source)) {
            return Some((source, differs_by));
        }
    }
    let edits = |source: &&str| strsim::damerau_levenshtein(&segments, &slashes(source));
    let similar = sources.min_by_key(edits)?;
    let most = if segments.len() < 8 { 1 } else { 3 };
    (edits(&similar) <= most).then_some((similar, "spelling"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCES: [&str; 3] = ["/webhooks/stripe", "/webhooks/github", "/in/Shop"];

    fn nearest(path: &str) -> Option<(&'static str, &'static str)> {
        nearest_path(path, SOURCES.into_iter())
    }

    #[test]
    fn the_source_that_was_meant_is_named_with_the_difference() {
        let stripe = |differs_by| Some(("/webhooks/stripe", differs_by));
        assert_eq!(nearest("/webhooks/stripe/"), stripe("a trailing slash"));
        assert_eq!(nearest("/Webhooks/Stripe"), stripe("letter case"));
        assert_eq!(nearest("/in/shop"), Some(("/in/Shop", "letter case")));
        assert_eq!(nearest("//webhooks/Stripe/"), stripe("slashes and letter case"));
        let extra = "a prefix that the source does not have";
        assert_eq!(nearest("/api/webhooks/stripe"), stripe(extra));
        assert_eq!(nearest("/api/Webhooks/stripe/"), stripe(extra));
        assert_eq!(nearest("/stripe"), stripe("a missing prefix"));
        assert_eq!(nearest("/webhooks/strpie"), stripe("spelling"));
        assert_eq!(nearest("/webhook/stripe"), stripe("spelling"));
        for unrelated in ["/", "/favicon.ico", "/.env", "/webhooks/paypal", "/x"] {
            assert_eq!(nearest(unrelated), None, "{unrelated}");
        }
    }

    #[test]
    fn a_shown_path_is_short_and_has_no_control_characters() {
        assert_eq!(shown("/a\n\u{1b}[31m\u{202e}b"), r"/a\n\u{1b}[31m\u{202e}b");
        let long = shown(&"/x".repeat(5000));
        assert_eq!(long.chars().count(), MAX_SHOWN_CHARS + 1);
    }

    #[test]
    fn a_flood_gets_few_lines_and_leaves_those_of_other_addresses() {
        let paths = UnknownPaths::default();
        let now = Timestamp::from_secs(1_700_000_000);
        let ip = |last: u8| Some(IpAddr::from([192, 0, 2, last]));
        let flood = (0..10_000).filter(|_| paths.admit(ip(1), now).is_some()).count();
        assert_eq!(flood, 6);
        assert_eq!(paths.admit(ip(2), now), Some(10_000 - 6));
        let many = (3..=255).filter(|last| paths.admit(ip(*last), now).is_some()).count();
        assert_eq!(many, 60 - 7);
        let later = Timestamp::from_secs(now.as_secs() + 600);
        assert!(paths.admit(ip(1), later).is_some());
    }
}
