//! `X-Forwarded-For` behind proxies of one's own: whose address counts.

use std::net::IpAddr;
use std::sync::OnceLock;

use hookward_engine::compiled::CompiledConfig;
use hookward_engine::ingest::forwarded_for;
use serde_json::json;

use super::input::{lines, text};

/// Networks that are trusted together.
const TRUSTED: &[&[&str]] =
    &[&["10.0.0.0/8"], &["10.0.0.0/8", "192.0.2.7", "fd00::/8"], &["0.0.0.0/0", "::/0"]];

/// Lines: the other end of the connection, which networks are trusted (0 to 2), the header.
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
        assert_eq!(found, peer, "a stranger's word counts");
        return;
    }
    // The address is the peer's or stands in the header, and all to its right are proxies.
    let value = String::from_utf8_lossy(value);
    for hop in value.rsplit(',').map(str::trim).take(32) {
        if found == peer && hop_of(hop) != Some(peer) {
            return;
        }
        match hop_of(hop) {
            Some(ip) if ip == found => return,
            Some(ip) => assert!(is_proxy(&ip), "{found} was taken, and {ip} was nearer: {value}"),
            None => panic!("{found} stands behind what cannot be read: {value}"),
        }
    }
    assert_eq!(found, peer, "{found} stands nowhere in {value}");
}

fn hop_of(hop: &str) -> Option<IpAddr> {
    let bare = hop.strip_prefix('[').and_then(|rest| rest.split_once(']')).map(|(ip, _)| ip);
    let ported = hop.rsplit_once(':').filter(|(ip, _)| !ip.contains(':')).map(|(ip, _)| ip);
    let found = [Some(hop), bare, ported].into_iter().flatten().find_map(|ip| ip.parse().ok());
    found.map(|ip: IpAddr| ip.to_canonical())
}

fn configs() -> &'static [CompiledConfig] {
    static CONFIGS: OnceLock<Vec<CompiledConfig>> = OnceLock::new();
    let config = |trusted: &&[&str]| {
        let sources = json!({ "stripe": { "secrets": ["a secret"] } });
        let server = json!({ "trusted_proxies": trusted });
        let file =
            json!({ "store": "memory:", "server": server, "sources": sources, "routes": [] });
        super::config::load_config(&file.to_string())
    };
    CONFIGS.get_or_init(|| TRUSTED.iter().filter_map(config).collect())
}
