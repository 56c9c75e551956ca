//! Warns where a proxy is in front of the server and is not trusted, so that all senders have one
//! address: that of the proxy.

use std::net::IpAddr;

use super::compile_cx::CompileCx;
use crate::compiled::CompiledServer;
use crate::config::document::Location;

const PROXIES: &str = "/server/trusted_proxies";
const PUBLIC_URL: &str = "/server/public_url";

/// Warns where `public_url` shows that senders do not connect to this server themselves.
pub(super) fn warn_untrusted_proxy(cx: &mut CompileCx<'_>, server: &CompiledServer) {
    if !server.trusted_proxies.is_empty() || cx.document.has_error_at(PROXIES) {
        return;
    }
    let Some(url) = server.public_url.as_deref().filter(|url| !is_this_machine(url)) else {
        return;
    };
    let label = if server.listen.ip().is_loopback() {
        format!("the server listens on {} alone, so a proxy receives these requests", server.listen)
    } else if url.starts_with("https:") && server.tls.is_none() && !cx.contains("/server/tls") {
        "the server has no `tls`, so a proxy receives these requests".to_owned()
    } else {
        return;
    };
    cx.document
        .warn(
            Location::Value(PUBLIC_URL),
            "a proxy is in front of this server, and `server.trusted_proxies` is not set",
        )
        .label(label)
        .help("all senders then have the address of the proxy: they share its limits, and `allow_ips` and `firewall` judge the proxy")
        .help(format!("add `trusted_proxies: [{}]` to `server`, with the address from which the proxy connects", example_proxy(server)));
}

/// Warns where a source admits addresses, and a server without trusted proxies on loopback sees
/// none of them. `at` is the list, `source` the name.
pub(super) fn warn_unreachable_networks(
    cx: &mut CompileCx<'_>,
    server: &CompiledServer,
    at: &str,
    source: &str,
    networks: &[ipnet::IpNet],
) {
    let listens_to_others = !server.listen.ip().is_loopback();
    let admits_loopback = networks.iter().any(|net| net.addr().is_loopback());
    if networks.is_empty()
        || listens_to_others
        || admits_loopback
        || !server.trusted_proxies.is_empty()
        || cx.document.has_error_at(PROXIES)
    {
        return;
    }
    cx.document
        .warn(
            Location::Value(at),
            format!("source `{source}` admits none of the addresses that this server can see"),
        )
        .label(format!("the server listens on {} alone", server.listen))
        .help(format!("behind a proxy, add `trusted_proxies: [{}]` to `server`; else listen on an address that senders reach, here or with `--listen`", example_proxy(server)));
}

fn example_proxy(server: &CompiledServer) -> &'static str {
    match (server.listen.ip().is_loopback(), server.listen.is_ipv4()) {
        (true, true) => "127.0.0.1",
        (true, false) => "\"::1\"",
        (false, _) => "\"10.0.0.0/8\"",
    }
}

/// Whether a URL of scheme and host names this machine, as in a first try.
fn is_this_machine(url: &str) -> bool {
    let uri: Option<http::Uri> = url.parse().ok();
    let Some(host) = uri.as_ref().and_then(http::Uri::host) else { return false };
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    let is_loopback = address.is_ok_and(|ip| ip.is_loopback());
    is_loopback || host == "localhost" || host.ends_with(".localhost")
}
