//! Logs requests on paths that belong to no source, with the path and the source that was probably
//! meant. Senders show such a 404 rarely, so the line is where an operator learns that a webhook was
//! set up with a wrong address. The lines are sampled like those of other rejections.

use std::net::IpAddr;

use crate::compiled::CompiledConfig;
use crate::telemetry;

/// The most characters of a path that a line shows.
const MAX_SHOWN_CHARS: usize = 200;

/// Logs a request on an unknown path; `left_out` such requests before it were not logged.
pub(super) fn log_unknown_path(
    config: &CompiledConfig,
    path: &str,
    client: Option<IpAddr>,
    left_out: u64,
) {
    let paths = config.sources_by_path.keys().map(String::as_str);
    let (nearest, differs_by) = nearest_path(path, paths).unzip();
    telemetry::log_unknown_path(&shown(path), client, nearest, differs_by, left_out);
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
}
