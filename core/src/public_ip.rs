//! Which addresses are public: the internet's, as opposed to this machine's, this network's and
//! those that lead to either by another way. From the special-purpose address registries of IANA
//! (RFC 6890 and its successors). Called by whoever connects to an address that others chose, for
//! every address before it connects.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const V4: &[([u8; 4], u32)] = &[
    ([0, 0, 0, 0], 8),        // "this network"; 0.0.0.0 reaches this machine
    ([10, 0, 0, 0], 8),       // private
    ([100, 64, 0, 0], 10),    // shared by carriers; some clouds' metadata
    ([127, 0, 0, 0], 8),      // this machine
    ([168, 63, 129, 16], 32), // the wire server of Azure: a public address, answered by the host
    ([169, 254, 0, 0], 16),   // link-local; most clouds' metadata
    ([172, 16, 0, 0], 12),    // private
    ([192, 0, 0, 0], 24),     // protocol assignments
    ([192, 0, 2, 0], 24),     // documentation
    ([192, 88, 99, 0], 24),   // relays of 6to4
    ([192, 168, 0, 0], 16),   // private
    ([198, 18, 0, 0], 15),    // benchmarks
    ([198, 51, 100, 0], 24),  // documentation
    ([203, 0, 113, 0], 24),   // documentation
    ([224, 0, 0, 0], 4),      // multicast
    ([240, 0, 0, 0], 4),      // reserved, broadcast
];

/// All of IPv6 that is given out. Outside of it: `::1`, `::`, IPv4 in IPv6 (`::ffff:0:0/96`), NAT64
/// (`64:ff9b::/96`, `64:ff9b:1::/48`), `100::/64`, `5f00::/16`, `fc00::/7`, `fe80::/10`, `ff00::/8`.
const V6_GLOBAL: (Ipv6Addr, u32) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);

const V6: &[([u16; 3], u32)] = &[
    ([0x2001, 0, 0], 23),     // protocol assignments, Teredo among them
    ([0x2001, 0xdb8, 0], 32), // documentation
    ([0x2002, 0, 0], 16),     // 6to4: holds an IPv4 address
    ([0x3fff, 0, 0], 20),     // documentation
];

/// Whether an address is one of the internet's. An IPv4 address within IPv6 is not, whatever it is.
pub fn is_public_address(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => !V4.iter().any(|(net, bits)| v4_in(ip, Ipv4Addr::from(*net), *bits)),
        IpAddr::V6(ip) => {
            let special = |&([a, b, c], bits): &([u16; 3], u32)| {
                v6_in(ip, Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0), bits)
            };
            v6_in(ip, V6_GLOBAL.0, V6_GLOBAL.1) && !V6.iter().any(special)
        }
    }
}

fn v4_in(ip: Ipv4Addr, net: Ipv4Addr, bits: u32) -> bool {
    (ip.to_bits() ^ net.to_bits()).leading_zeros() >= bits
}

fn v6_in(ip: Ipv6Addr, net: Ipv6Addr, bits: u32) -> bool {
    (ip.to_bits() ^ net.to_bits()).leading_zeros() >= bits
}
