//! The rules of `firewall:`, judged by the head before a byte of the body is read.

use hookward_core::Head;
use http::header;

use crate::compiled::{Firewall, FirewallRule};

/// Rejects a request that the firewall does not admit; the first rule that rejects it counts.
pub(super) fn check_firewall(firewall: &Firewall, head: &Head) -> Result<(), FirewallRule> {
    check_network(firewall, head)?;
    if !firewall.methods.is_empty() && !firewall.methods.contains(&head.method) {
        return Err(FirewallRule::Method(firewall.methods.clone()));
    }
    let is_present = |name: &&http::HeaderName| head.headers.contains_key(*name);
    if let Some(missing) = firewall.require_headers.iter().find(|name| !is_present(name)) {
        return Err(FirewallRule::HeaderMissing(missing.clone()));
    }
    if let Some(denied) = firewall.deny_headers.iter().find(is_present) {
        return Err(FirewallRule::HeaderDenied(denied.clone()));
    }
    if has_body(head) && !admits_content_type(firewall, head) {
        return Err(FirewallRule::ContentType);
    }
    match (firewall.max_size, declared_size(head)) {
        (Some(max), Some(size)) if usize::try_from(size).map_or(true, |size| size > max) => {
            Err(FirewallRule::Size(max))
        }
        _ => Ok(()),
    }
}

fn check_network(firewall: &Firewall, head: &Head) -> Result<(), FirewallRule> {
    let Firewall { allow_networks, deny_networks, .. } = firewall;
    if allow_networks.is_empty() && deny_networks.is_empty() {
        return Ok(());
    }
    // Behind a dual-stack socket, IPv4 senders come as mapped addresses. A client without an
    // address is admitted by no rule about addresses.
    let ip = head.client.map(|ip| ip.to_canonical()).ok_or(FirewallRule::Network)?;
    let is_allowed = allow_networks.is_empty() || allow_networks.iter().any(|n| n.contains(&ip));
    if is_allowed && !deny_networks.iter().any(|net| net.contains(&ip)) {
        return Ok(());
    }
    Err(FirewallRule::Network)
}

/// The size that `Content-Length` declares. A body in chunks declares none; its reader has the same
/// limit.
fn declared_size(head: &Head) -> Option<u64> {
    head.headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Whether a body follows. A request without one, such as a HEAD probe, has no media type.
fn has_body(head: &Head) -> bool {
    head.headers.contains_key(header::TRANSFER_ENCODING)
        || declared_size(head).is_some_and(|size| size > 0)
}

fn admits_content_type(firewall: &Firewall, head: &Head) -> bool {
    if firewall.content_types.is_empty() {
        return true;
    }
    // Several lines could be read differently by whatever parses the body later.
    let mut lines = head.headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(line), None) = (lines.next(), lines.next()) else { return false };
    let essence = line.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    let essence = essence.to_ascii_lowercase();
    firewall.content_types.iter().any(|allowed| match allowed.strip_suffix('*') {
        Some(class) => essence.len() > class.len() && essence.starts_with(class),
        None => *allowed == essence,
    })
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, Method};

    use super::*;

    /// The code of the rule that rejects a request with these headers, from this address.
    fn rejected_by(firewall: &Firewall, ip: &str, headers: &[(&'static str, &str)]) -> String {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_str(value).unwrap());
        }
        let head = Head::new(Method::POST, "/webhooks/x", map);
        let head = head.with_client(Some(ip.parse().unwrap()));
        check_firewall(firewall, &head).err().map(|r| format!("{r:?}")).unwrap_or_default()
    }

    #[test]
    fn denied_networks_win_over_allowed_ones() {
        let networks = |list: &[&str]| list.iter().map(|n| n.parse().unwrap()).collect();
        let firewall = Firewall {
            allow_networks: networks(&["10.0.0.0/8", "2001:db8::/32"]),
            deny_networks: networks(&["10.9.0.0/16"]),
            ..Firewall::default()
        };
        for (ip, admitted) in [
            ("10.1.2.3", true),
            ("::ffff:10.1.2.3", true),
            ("2001:db8::1", true),
            ("10.9.2.3", false),
            ("::ffff:10.9.2.3", false),
            ("192.0.2.1", false),
        ] {
            assert_eq!(rejected_by(&firewall, ip, &[]).is_empty(), admitted, "{ip}");
        }
        let no_address = Head::new(Method::POST, "/webhooks/x", HeaderMap::new());
        assert!(check_firewall(&firewall, &no_address).is_err());
    }

    #[test]
    fn only_listed_media_types_of_a_body_are_admitted() {
        let content_types = vec!["application/json".to_owned(), "text/*".to_owned()];
        let firewall = Firewall { content_types, ..Firewall::default() };
        for (content_type, admitted) in [
            ("application/json", true),
            ("Application/JSON; charset=utf-8", true),
            ("text/plain", true),
            ("text/", false),
            ("application/jsonp", false),
            ("", false),
            ("application/xml", false),
        ] {
            let headers = [("content-length", "1"), ("content-type", content_type)];
            let rejected = rejected_by(&firewall, "192.0.2.1", &headers);
            assert_eq!(rejected.is_empty(), admitted, "{content_type}");
        }
        let without_type = [("transfer-encoding", "chunked")];
        assert_eq!(rejected_by(&firewall, "192.0.2.1", &without_type), "ContentType");
        let twice = [("content-length", "1"), ("content-type", "text/a"), ("content-type", "x/y")];
        assert_eq!(rejected_by(&firewall, "192.0.2.1", &twice), "ContentType");
        assert_eq!(rejected_by(&firewall, "192.0.2.1", &[("content-length", "0")]), "");
    }

    #[test]
    fn a_declared_size_at_the_limit_is_admitted() {
        let firewall = Firewall { max_size: Some(10), ..Firewall::default() };
        for (size, admitted) in [("10", true), ("11", false), ("18446744073709551615", false)] {
            let rejected = rejected_by(&firewall, "192.0.2.1", &[("content-length", size)]);
            assert_eq!(rejected.is_empty(), admitted, "{size}");
        }
    }
}
