//! `limits.allow_ips` of a source: networks as they are written, and those that its sender
//! publishes.

use ipnet::IpNet;

use super::compile_cx::CompileCx;
use crate::config::document::Location;
use crate::config::scalars::{AllowedNetwork, AllowedNetworkText};
use crate::config::suggest::quoted_list;
use crate::sender_ranges::{self, DatedRanges, LOCAL_FILE, MAX_AGE};

/// Compiles the list. Where the sender's networks are not known, reports it and allows the rest.
pub(super) fn compile(
    cx: &mut CompileCx<'_>,
    at: &str,
    provider: &str,
    written: Option<&[Option<AllowedNetworkText>]>,
) -> Vec<IpNet> {
    let mut networks = Vec::new();
    for (n, item) in written.unwrap_or_default().iter().enumerate() {
        match item.as_ref().map(|item| item.0) {
            Some(AllowedNetwork::Network(network)) => networks.push(network),
            Some(AllowedNetwork::Provider) => {
                let at = format!("{at}/limits/allow_ips/{n}");
                networks.extend(published_networks(cx, &at, provider));
            }
            None => {}
        }
    }
    networks
}

/// The networks that the sender publishes: those of the file beside routes.yaml, else those that
/// are shipped.
fn published_networks(cx: &mut CompileCx<'_>, at: &str, provider: &str) -> Vec<IpNet> {
    let Some(shipped) = sender_ranges::find(provider) else {
        let known = sender_ranges::shipped().map(|(name, _)| name);
        let known =
            format!("known are those of {}; write the networks themselves", quoted_list(known));
        cx.document
            .error(
                Location::Value(at),
                format!("no networks are known that the sender of `{provider}` publishes"),
            )
            .help(known);
        return Vec::new();
    };
    let local = match read_local(cx, provider) {
        Ok(local) => local,
        Err(reason) => {
            cx.document
                .error(Location::Value(at), format!("{LOCAL_FILE} cannot be used: {reason}"))
                .help("write it again: hookward ranges update; or remove it");
            return Vec::new();
        }
    };
    let Some(ranges) = local.or_else(|| shipped.dated()) else {
        cx.document
            .error(
                Location::Value(at),
                format!("the networks of `{provider}` are too many to be shipped, and were not fetched yet"),
            )
            .help(format!("fetch them: hookward ranges update --provider {provider}"));
        return Vec::new();
    };
    match ranges.parse() {
        Ok((date, networks)) => {
            if cx.load.now.since(date) > MAX_AGE {
                warn_old(cx, at, provider, &ranges, !shipped.feeds.is_empty());
            }
            networks
        }
        Err(reason) => {
            cx.document
                .error(Location::Value(at), format!("the networks of `{provider}`: {reason}"));
            Vec::new()
        }
    }
}

/// Reads the file that `hookward ranges update` writes; `None` where it does not exist, or does
/// not name the provider.
fn read_local(cx: &CompileCx<'_>, provider: &str) -> Result<Option<DatedRanges>, String> {
    let text = match cx.load.environment.read(&cx.base_dir.join(LOCAL_FILE)) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e.to_string()),
    };
    Ok(sender_ranges::parse_local(&text)?.remove(provider))
}

fn warn_old(
    cx: &mut CompileCx<'_>,
    at: &str,
    provider: &str,
    ranges: &DatedRanges,
    has_feed: bool,
) {
    let help = match has_feed {
        true => format!("fetch them again: hookward ranges update --provider {provider}"),
        false => {
            format!("compare them with {}; the sender has no list for programs", ranges.source)
        }
    };
    cx.document
        .warn(
            Location::Value(at),
            format!("the networks of `{provider}` are those of {}", ranges.date),
        )
        .label("a sender that calls from a new network gets 403")
        .help(help);
}
