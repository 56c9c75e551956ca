//! The spellings of a URL that Twilio may have signed. Twilio is not consistent about the port, and
//! some of its systems sign an escaped form of the query. Verification calls this module.

use std::collections::HashMap;

use hookward_core::scheme::form_pairs;

/// Returns every spelling once, that of the request without a port first.
pub(crate) fn spellings(url: &str) -> Vec<String> {
    let mut all: Vec<String> = Vec::with_capacity(6);
    for ported in [without_port(url), with_port(url)] {
        for spelled in [ported.clone(), ported.replace('\'', "%27"), requote_query(&ported)] {
            if !all.contains(&spelled) {
                all.push(spelled);
            }
        }
    }
    all
}

/// Splits a URL into scheme, user and host; the port with its colon; path and query. Nothing is
/// decoded.
fn parts(url: &str) -> Option<(&str, &str, &str)> {
    let host = url.find("://")? + 3;
    let after = url.get(host..)?;
    let end = after.find(['/', '?', '#']).unwrap_or(after.len());
    let (authority, rest) = after.split_at(end);
    let name = authority.rfind('@').map_or(0, |at| at + 1);
    // The colons within an IPv6 address do not begin a port.
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

/// Decodes the query and encodes it again as `encodeURIComponent` does: a plus becomes `%20`, and
/// `!'()*` stay unescaped.
fn requote_query(url: &str) -> String {
    let Some((path, query)) = url.split_once('?').filter(|(_, query)| !query.is_empty()) else {
        return url.to_owned();
    };
    // Each name keeps its first position, followed by all its values. A map keeps this linear: a
    // stranger chooses how many names there are.
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
        percent_encode(name, &mut out);
        out.push('=');
        percent_encode(value, &mut out);
    }
    out
}

fn percent_encode(bytes: &[u8], out: &mut String) {
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
    fn spellings_omit_and_add_the_port() {
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
    fn spellings_include_each_escaping_of_the_query() {
        let all = spellings("https://h.example/?b=It's+fine&a=%7E&b=(1)");
        assert!(all.contains(&"https://h.example/?b=It%27s+fine&a=%7E&b=(1)".to_owned()));
        assert!(all.contains(&"https://h.example:443/?b=It's%20fine&b=(1)&a=~".to_owned()));
        assert_eq!(all.len(), 6);
    }

    #[test]
    fn values_of_a_repeated_name_move_to_its_first_position() {
        assert_eq!(requote_query("/?b=1&a=2&b=3&&=&c"), "/?b=1&b=3&a=2&=&c=");
        assert_eq!(requote_query("/?"), "/?");
    }
}
