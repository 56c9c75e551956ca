//! Which IP addresses are public: on the internet, and not this machine, this network, or an
//! address that leads to either by tunnel or translation. From IANA's special-purpose address
//! registries (RFC 6890).
//!
//! Whoever connects to an address that others choose calls [`is_public_address`] for each resolved
//! address before connecting; otherwise a sender could reach internal services (SSRF).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// IPv4 networks that are not public, with the length of their prefix in bits.
const NON_PUBLIC_IPV4: &[([u8; 4], u32)] = &[
    ([0, 0, 0, 0], 8),        // "this network"; 0.0.0.0 connects to this machine
    ([10, 0, 0, 0], 8),       // private (RFC 1918)
    ([100, 64, 0, 0], 10),    // carrier-grade NAT (RFC 6598); metadata of some clouds
    ([127, 0, 0, 0], 8),      // loopback
    ([168, 63, 129, 16], 32), // Azure WireServer: looks public, but the host answers
    ([169, 254, 0, 0], 16),   // link-local; metadata of most clouds
    ([172, 16, 0, 0], 12),    // private (RFC 1918)
    ([192, 0, 0, 0], 24),     // protocol assignments
    ([192, 0, 2, 0], 24),     // documentation
    ([192, 88, 99, 0], 24),   // 6to4 relays (RFC 7526)
    ([192, 168, 0, 0], 16),   // private (RFC 1918)
    ([198, 18, 0, 0], 15),    // benchmarks
    ([198, 51, 100, 0], 24),  // documentation
    ([203, 0, 113, 0], 24),   // documentation
    ([224, 0, 0, 0], 4),      // multicast
    ([240, 0, 0, 0], 4),      // reserved, broadcast
];

/// All IPv6 addresses that IANA assigns to the internet (RFC 4291, section 2.4). Outside of it:
/// `::1`, `::`, IPv4 in IPv6 (`::ffff:0:0/96`), NAT64 (`64:ff9b::/96`, `64:ff9b:1::/48`),
/// `100::/64`, `5f00::/16`, `fc00::/7`, `fe80::/10`, `ff00::/8`.
const IPV6_GLOBAL_UNICAST: (Ipv6Addr, u32) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);

/// Networks within [`IPV6_GLOBAL_UNICAST`] that are not public: the first three groups, and the
/// length of their prefix in bits.
const NON_PUBLIC_IPV6: &[([u16; 3], u32)] = &[
    ([0x2001, 0, 0], 23),     // protocol assignments, Teredo among them
    ([0x2001, 0xdb8, 0], 32), // documentation
    ([0x2002, 0, 0], 16),     // 6to4: holds an IPv4 address
    ([0x3fff, 0, 0], 20),     // documentation
];

/// Whether an address is public: on the internet, outside all special-purpose networks. An IPv4
/// address embedded in an IPv6 one is never public.
///
/// ```
/// use hookward_core::is_public_address;
///
/// assert!(is_public_address("93.184.215.14".parse()?));
/// assert!(!is_public_address("169.254.169.254".parse()?), "metadata of most clouds");
/// assert!(!is_public_address("::ffff:93.184.215.14".parse()?), "IPv4 within IPv6");
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
pub fn is_public_address(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            !NON_PUBLIC_IPV4.iter().any(|(net, bits)| ipv4_is_in(ip, Ipv4Addr::from(*net), *bits))
        }
        IpAddr::V6(ip) => {
            let is_special = |&([a, b, c], bits): &([u16; 3], u32)| {
                ipv6_is_in(ip, Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0), bits)
            };
            ipv6_is_in(ip, IPV6_GLOBAL_UNICAST.0, IPV6_GLOBAL_UNICAST.1)
                && !NON_PUBLIC_IPV6.iter().any(is_special)
        }
    }
}

fn ipv4_is_in(ip: Ipv4Addr, net: Ipv4Addr, bits: u32) -> bool {
    (ip.to_bits() ^ net.to_bits()).leading_zeros() >= bits
}

fn ipv6_is_in(ip: Ipv6Addr, net: Ipv6Addr, bits: u32) -> bool {
    (ip.to_bits() ^ net.to_bits()).leading_zeros() >= bits
}
