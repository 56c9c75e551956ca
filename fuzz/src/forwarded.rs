//! Target `forwarded`: the client's address in `X-Forwarded-For` behind trusted proxies.

use std::net::IpAddr;
use std::sync::OnceLock;

use hookward_engine::compiled::CompiledConfig;
use hookward_engine::ingest::forwarded_for;
use serde_json::json;

use super::input::{lines, text};

/// Lists of trusted proxies; the input names one of them.
const TRUSTED_PROXIES: &[&[&str]] =
    &[&["10.0.0.0/8"], &["10.0.0.0/8", "192.0.2.7", "fd00::/8"], &["0.0.0.0/0", "::/0"]];

/// Lines: the peer's address, the index of the list of trusted proxies (0 to 2), the header's
/// value.
pub fn run(data: &[u8]) {
    let [peer, trusted, value] = lines(data);
    let (Some(peer), Some(trusted)) = (text(peer), text(trusted)) else { return };
    let Ok(peer) = peer.parse::<IpAddr>() else { return };
    let Some(config) = trusted.parse().ok().and_then(|n: usize| configs().get(n)) else { return };
    let trusted = &config.server.trusted_proxies;
    let found = forwarded_for(peer, value, trusted);
    let is_proxy = |ip: &IpAddr| trusted.iter().any(|net| net.contains(ip));
    let peer = peer.to_canonical();
    if !is_proxy(&peer) {
        assert_eq!(found, peer, "the header of an untrusted peer was used");
        return;
    }
    // The address is the peer's or one of the header, and all addresses to its right are proxies.
    let value = String::from_utf8_lossy(value);
    for hop in value.rsplit(',').map(str::trim).take(32) {
        if found == peer && parse_hop(hop) != Some(peer) {
            return;
        }
        match parse_hop(hop) {
            Some(ip) if ip == found => return,
            Some(ip) => assert!(
                is_proxy(&ip),
                "{found} was used, but {ip}, which is not a proxy, is nearer: {value}"
            ),
            None => panic!("{found} was used from behind an unreadable address: {value}"),
        }
    }
    assert_eq!(found, peer, "{found} is not in {value}");
}

/// Parses one element of the header: an address, in brackets or with a port too.
fn parse_hop(hop: &str) -> Option<IpAddr> {
    let bare = hop.strip_prefix('[').and_then(|rest| rest.split_once(']')).map(|(ip, _)| ip);
    let ported = hop.rsplit_once(':').filter(|(ip, _)| !ip.contains(':')).map(|(ip, _)| ip);
    let found = [Some(hop), bare, ported].into_iter().flatten().find_map(|ip| ip.parse().ok());
    found.map(|ip: IpAddr| ip.to_canonical())
}

/// Returns a configuration for each list of trusted proxies.
fn configs() -> &'static [CompiledConfig] {
    static CONFIGS: OnceLock<Vec<CompiledConfig>> = OnceLock::new();
    let config = |trusted: &&[&str]| {
        let sources = json!({ "stripe": { "secrets": ["a secret"] } });
        let server = json!({ "trusted_proxies": trusted });
        let file =
            json!({ "store": "memory:", "server": server, "sources": sources, "routes": [] });
        super::config::load_config(&file.to_string())
    };
    CONFIGS.get_or_init(|| TRUSTED_PROXIES.iter().filter_map(config).collect())
}
