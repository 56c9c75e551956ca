//! Who called: the address of the connection, or behind proxies of one's own the one that they name.

use std::net::IpAddr;

use http::HeaderMap;
use ipnet::IpNet;

const FORWARDED_FOR: &str = "x-forwarded-for";
/// No chain of one's own proxies is longer; what stands before is the sender's invention.
const MAX_HOPS: usize = 32;

/// The sender's address. `peer` is the other end of the connection; only where it is a trusted proxy is
/// `X-Forwarded-For` read, from its end: the first address that is no trusted proxy is the sender. What
/// stands before that could be anyone's word, and so is everything behind something unreadable.
pub(crate) fn address(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let is_proxy = |ip: &IpAddr| trusted.iter().any(|net| net.contains(ip));
    let mut nearest = peer.to_canonical();
    if !is_proxy(&nearest) {
        return nearest;
    }
    let lines = headers.get_all(FORWARDED_FOR).iter().collect::<Vec<_>>();
    let hops = lines.iter().rev().flat_map(|line| line.as_bytes().rsplit(|b| *b == b','));
    for hop in hops.take(MAX_HOPS) {
        let Some(ip) = std::str::from_utf8(hop).ok().and_then(hop_address) else { break };
        nearest = ip.to_canonical();
        if !is_proxy(&nearest) {
            break;
        }
    }
    nearest
}

/// `203.0.113.7`, `203.0.113.7:4711`, `2001:db8::7` or `[2001:db8::7]:4711`, as proxies write them.
fn hop_address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let socket = || text.parse::<std::net::SocketAddr>().ok().map(|s| s.ip());
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    text.parse().ok().or_else(socket).or_else(bracketed)
}

/// For tests that try arbitrary bytes: what a chain of trusted proxies makes of this header value.
#[doc(hidden)]
pub fn forwarded_for(peer: IpAddr, value: &[u8], trusted: &[IpNet]) -> IpAddr {
    let mut headers = HeaderMap::new();
    if let Ok(value) = http::HeaderValue::from_bytes(value) {
        headers.insert(FORWARDED_FOR, value);
    }
    address(peer, &headers, trusted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(peer: &str, lines: &[&str]) -> String {
        let trusted: Vec<IpNet> =
            ["10.0.0.0/8", "fd00::/8"].iter().map(|n| n.parse().unwrap()).collect();
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(FORWARDED_FOR, line.parse().unwrap());
        }
        address(peer.parse().unwrap(), &headers, &trusted).to_string()
    }

    #[test]
    fn a_stranger_is_who_it_is_whatever_it_says() {
        assert_eq!(from("203.0.113.7", &["198.51.100.1"]), "203.0.113.7");
    }

    #[test]
    fn behind_trusted_proxies_it_is_the_last_address_that_is_none_of_them() {
        assert_eq!(from("10.0.0.1", &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(from("10.0.0.1", &["1.2.3.4, 198.51.100.1, 10.9.9.9"]), "198.51.100.1");
        assert_eq!(from("10.0.0.1", &["1.2.3.4", "198.51.100.1", "10.9.9.9"]), "198.51.100.1");
        assert_eq!(from("::ffff:10.0.0.1", &["[2001:db8::7]:443"]), "2001:db8::7");
        assert_eq!(from("fd00::1", &["198.51.100.1:4711"]), "198.51.100.1");
    }

    #[test]
    fn what_cannot_be_read_ends_the_search_at_the_nearest_that_could() {
        assert_eq!(from("10.0.0.1", &["198.51.100.1, unknown, 10.2.2.2"]), "10.2.2.2");
        assert_eq!(from("10.0.0.1", &[""]), "10.0.0.1");
        assert_eq!(from("10.0.0.1", &[]), "10.0.0.1");
    }

    #[test]
    fn a_chain_that_never_ends_is_not_followed_for_ever() {
        let long = ["10.0.0.2"; 1000].join(",");
        assert_eq!(from("10.0.0.1", &[&format!("198.51.100.1,{long}")]), "10.0.0.2");
    }
}
