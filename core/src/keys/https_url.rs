//! Addresses that a request names: judged before anything is fetched from them.

/// Longer ones are none of a sender's.
const MAX_URL: usize = 2048;

/// Host, and path with query, of an https URL that is spelled in the one plain way: no user, no
/// port, no fragment, no other characters than those of host names and URLs. `None` for all else.
pub fn split_https_url(url: &str) -> Option<(&str, &str)> {
    let rest = url.strip_prefix("https://").filter(|_| url.len() <= MAX_URL)?;
    let (host, path) = rest.split_at(rest.find('/')?);
    let label = |label: &str| {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        (1..=63).contains(&label.len())
            && label.bytes().all(plain)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let named = host.contains('.') && host.split('.').all(label);
    // The last label of an address by number is a number, and no name has one there.
    let number = host.bytes().last().is_some_and(|b| b.is_ascii_digit());
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~/?=&%+:,;@!$'()*".contains(&b);
    let climbs = path.split(['/', '?']).any(|part| part == ".." || part == ".");
    (named && !number && path.bytes().all(plain) && !climbs).then_some((host, path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_https_urls_have_parts() {
        let url = "https://sns.eu-west-1.amazonaws.com/a.pem?x=1";
        assert_eq!(split_https_url(url), Some(("sns.eu-west-1.amazonaws.com", "/a.pem?x=1")));
        let long = format!("https://a.example/{}", "a".repeat(MAX_URL));
        for bad in [
            "http://a.example/x",
            "HTTPS://a.example/x",
            "https://a.example",
            "https:///x",
            "https://localhost/x",
            "https://127.0.0.1/x",
            "https://0x7f.0.0.1/x",
            "https://[::1]/x",
            "https://a.example:8443/x",
            "https://u@a.example/x",
            "https://a.example\\@b.example/x",
            "https://a.example/x#y",
            "https://a.example/x y",
            "https://a.example/x\ny",
            "https://a.example/../x",
            "https://a.example./x",
            "https://a..example/x",
            "https://\u{430}.example/x",
            " https://a.example/x",
            "",
            long.as_str(),
        ] {
            assert_eq!(split_https_url(bad), None, "{bad}");
        }
    }
}
