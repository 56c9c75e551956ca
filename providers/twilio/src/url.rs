//! The spellings of a URL that Twilio may have signed: it is not consistent about the port, and some
//! of its systems sign an escaped form of the query. Called by the proof.

use std::collections::HashMap;

use hookward_core::scheme::form_pairs;

/// Every spelling once, the one that was called first.
pub(crate) fn spellings(url: &str) -> Vec<String> {
    let mut all: Vec<String> = Vec::with_capacity(6);
    for ported in [without_port(url), with_port(url)] {
        for spelled in [ported.clone(), ported.replace('\'', "%27"), requoted(&ported)] {
            if !all.contains(&spelled) {
                all.push(spelled);
            }
        }
    }
    all
}

/// Scheme, user and host; the port with its colon; path and query. All as they stand.
fn parts(url: &str) -> Option<(&str, &str, &str)> {
    let host = url.find("://")? + 3;
    let after = url.get(host..)?;
    let end = after.find(['/', '?', '#']).unwrap_or(after.len());
    let (authority, rest) = after.split_at(end);
    let name = authority.rfind('@').map_or(0, |at| at + 1);
    // In an IPv6 address the colons are not that of the port.
    let bracket = authority.rfind(']').map_or(name, |at| at.max(name));
    let port = authority.get(bracket..)?.find(':').map_or(end, |at| bracket + at);
    Some((url.get(..host + port)?, authority.get(port..)?, rest))
}

fn without_port(url: &str) -> String {
    match parts(url) {
        Some((before, _, rest)) => format!("{before}{rest}"),
        None => url.to_owned(),
    }
}

fn with_port(url: &str) -> String {
    match parts(url) {
        Some((before, "", rest)) => {
            let port = if before.starts_with("https://") { 443 } else { 80 };
            format!("{before}:{port}{rest}")
        }
        _ => url.to_owned(),
    }
}

/// The query read and written again in the way of older JavaScript: a plus becomes `%20`, and
/// `!'()*` stay.
fn requoted(url: &str) -> String {
    let Some((path, query)) = url.split_once('?').filter(|(_, query)| !query.is_empty()) else {
        return url.to_owned();
    };
    // Each name where it first stands, with all its values: anyone chooses how many there are.
    let mut first: HashMap<Vec<u8>, usize> = HashMap::new();
    let mut pairs: Vec<_> = form_pairs(query.as_bytes())
        .enumerate()
        .map(|(n, (name, value))| (*first.entry(name.clone()).or_insert(n), name, value))
        .collect();
    pairs.sort_by_key(|(first, ..)| *first);
    let mut out = format!("{path}?");
    for (n, (_, name, value)) in pairs.iter().enumerate() {
        if n > 0 {
            out.push('&');
        }
        quote(name, &mut out);
        out.push('=');
        quote(value, &mut out);
    }
    out
}

fn quote(bytes: &[u8], out: &mut String) {
    for byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(byte) {
            out.push(char::from(*byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_left_out_and_put_in() {
        for (url, others) in [
            ("https://h.example/a?b=1", ["https://h.example/a?b=1", "https://h.example:443/a?b=1"]),
            ("http://h.example/a", ["http://h.example/a", "http://h.example:80/a"]),
            ("https://h.example:8443", ["https://h.example", "https://h.example:8443"]),
            ("https://u:p@h.example/", ["https://u:p@h.example/", "https://u:p@h.example:443/"]),
            ("https://[::1]:8443/", ["https://[::1]/", "https://[::1]:8443/"]),
            ("https://h.example?a=b", ["https://h.example?a=b", "https://h.example:443?a=b"]),
        ] {
            assert_eq!(spellings(url), others);
        }
        assert_eq!(spellings("no url"), ["no url"]);
    }

    #[test]
    fn a_quoted_query_is_spelled_in_each_way() {
        let all = spellings("https://h.example/?b=It's+fine&a=%7E&b=(1)");
        assert!(all.contains(&"https://h.example/?b=It%27s+fine&a=%7E&b=(1)".to_owned()));
        assert!(all.contains(&"https://h.example:443/?b=It's%20fine&b=(1)&a=~".to_owned()));
        assert_eq!(all.len(), 6);
    }

    #[test]
    fn values_of_one_name_go_where_it_first_stands() {
        assert_eq!(requoted("/?b=1&a=2&b=3&&=&c"), "/?b=1&b=3&a=2&=&c=");
        assert_eq!(requoted("/?"), "/?");
    }
}
