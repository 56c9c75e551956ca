//! The client's address: that of the connection, or the one that trusted proxies name; and the
//! group of addresses that counts as one client.

use std::net::{IpAddr, Ipv6Addr};

use http::HeaderMap;
use ipnet::IpNet;

const FORWARDED_FOR: &str = "x-forwarded-for";
/// The longest chain of trusted proxies that is followed. Anything before it was written by the
/// sender.
const MAX_PROXY_HOPS: usize = 32;

/// The sender's address. `peer` is the other end of the connection.
///
/// `X-Forwarded-For` is read only where the peer is a trusted proxy, and from its end: each proxy
/// appends the address that called it, so the first address that is not a trusted proxy is the
/// sender. Anyone could have written the addresses before that one. A hop that is not an address
/// ends the search too.
pub fn resolve_client(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let is_proxy = |ip: &IpAddr| trusted.iter().any(|net| net.contains(ip));
    let mut nearest = peer.to_canonical();
    if !is_proxy(&nearest) {
        return nearest;
    }
    let lines = headers.get_all(FORWARDED_FOR).iter().collect::<Vec<_>>();
    let hops = lines.iter().rev().flat_map(|line| line.as_bytes().rsplit(|b| *b == b','));
    for hop in hops.take(MAX_PROXY_HOPS) {
        let Some(ip) = std::str::from_utf8(hop).ok().and_then(parse_hop) else { break };
        nearest = ip.to_canonical();
        if !is_proxy(&nearest) {
            break;
        }
    }
    nearest
}

/// The group of addresses that limits count as one client: an IPv4 address stands for itself, an
/// IPv6 address for its /64, all of which one subscriber holds.
///
/// ```
/// use hookward_engine::ingest::client_group;
///
/// let group = |ip: &str| client_group(ip.parse().expect("an address")).to_string();
/// assert_eq!(group("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
/// assert_eq!(group("::ffff:192.0.2.1"), "192.0.2.1");
/// ```
pub fn client_group(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 => v4,
    }
}

/// Parses `203.0.113.7`, `203.0.113.7:4711`, `2001:db8::7` or `[2001:db8::7]:4711`, as proxies
/// write them.
fn parse_hop(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let socket = || text.parse::<std::net::SocketAddr>().ok().map(|s| s.ip());
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    text.parse().ok().or_else(socket).or_else(bracketed)
}

/// The address that trusted proxies name by this header value; for tests that try arbitrary bytes.
#[doc(hidden)]
pub fn forwarded_for(peer: IpAddr, value: &[u8], trusted: &[IpNet]) -> IpAddr {
    let mut headers = HeaderMap::new();
    if let Ok(value) = http::HeaderValue::from_bytes(value) {
        headers.insert(FORWARDED_FOR, value);
    }
    resolve_client(peer, &headers, trusted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(peer: &str, forwarded_for: &[&str]) -> String {
        let trusted: Vec<IpNet> =
            ["10.0.0.0/8", "fd00::/8"].iter().map(|n| n.parse().unwrap()).collect();
        let mut headers = HeaderMap::new();
        for line in forwarded_for {
            headers.append(FORWARDED_FOR, line.parse().unwrap());
        }
        resolve_client(peer.parse().unwrap(), &headers, &trusted).to_string()
    }

    #[test]
    fn forwarded_for_is_ignored_from_untrusted_peers() {
        assert_eq!(resolved("203.0.113.7", &["198.51.100.1"]), "203.0.113.7");
    }

    #[test]
    fn behind_trusted_proxies_the_client_is_the_last_address_that_is_not_a_proxy() {
        assert_eq!(resolved("10.0.0.1", &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(resolved("10.0.0.1", &["1.2.3.4, 198.51.100.1, 10.9.9.9"]), "198.51.100.1");
        assert_eq!(resolved("10.0.0.1", &["1.2.3.4", "198.51.100.1", "10.9.9.9"]), "198.51.100.1");
        assert_eq!(resolved("::ffff:10.0.0.1", &["[2001:db8::7]:443"]), "2001:db8::7");
        assert_eq!(resolved("fd00::1", &["198.51.100.1:4711"]), "198.51.100.1");
    }

    #[test]
    fn an_unreadable_hop_ends_the_search_at_the_nearest_readable_one() {
        assert_eq!(resolved("10.0.0.1", &["198.51.100.1, unknown, 10.2.2.2"]), "10.2.2.2");
        assert_eq!(resolved("10.0.0.1", &[""]), "10.0.0.1");
        assert_eq!(resolved("10.0.0.1", &[]), "10.0.0.1");
    }

    #[test]
    fn a_chain_of_proxies_is_followed_for_at_most_32_hops() {
        let long = ["10.0.0.2"; 1000].join(",");
        assert_eq!(resolved("10.0.0.1", &[&format!("198.51.100.1,{long}")]), "10.0.0.2");
    }
}
