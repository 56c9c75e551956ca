//! URLs that a request or a configuration names, checked before anything is fetched from them.

/// Longest URL that is accepted, in bytes.
const MAX_URL_BYTES: usize = 2048;

/// Longest label of a host name, in bytes (RFC 1035, section 2.3.4).
const MAX_HOST_LABEL_BYTES: usize = 63;

/// Splits an https URL into its host and its path with query. Returns `None` for any URL that two
/// readers could understand differently.
///
/// Accepted are a lower-case `https://`, a host name with a dot in it, and a path of plain
/// characters. Not accepted are a user, a port, a fragment, an IP address, `.` or `..` as a path
/// segment, a backslash, white space and everything that is not ASCII.
///
/// ```
/// use hookward_core::keys::split_https_url;
///
/// let url = "https://sns.eu-west-1.amazonaws.com/key.pem";
/// assert_eq!(split_https_url(url), Some(("sns.eu-west-1.amazonaws.com", "/key.pem")));
/// assert_eq!(split_https_url("https://user@sns.eu-west-1.amazonaws.com/key.pem"), None);
/// ```
pub fn split_https_url(url: &str) -> Option<(&str, &str)> {
    let rest = url.strip_prefix("https://").filter(|_| url.len() <= MAX_URL_BYTES)?;
    let (host, path) = rest.split_at(rest.find('/')?);
    let is_label = |label: &str| {
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        (1..=MAX_HOST_LABEL_BYTES).contains(&label.len())
            && label.bytes().all(is_plain)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let is_name = host.contains('.') && host.split('.').all(is_label);
    // The last label of a numeric address is a number (also in `0x7f.1`); no top-level domain ends
    // in a digit.
    let is_address = host.bytes().last().is_some_and(|b| b.is_ascii_digit());
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~/?=&%+:,;@!$'()*".contains(&b);
    let climbs = path.split(['/', '?']).any(|part| part == ".." || part == ".");
    (is_name && !is_address && path.bytes().all(is_plain) && !climbs).then_some((host, path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_unambiguous_https_urls_are_split() {
        let url = "https://sns.eu-west-1.amazonaws.com/a.pem?x=1";
        assert_eq!(split_https_url(url), Some(("sns.eu-west-1.amazonaws.com", "/a.pem?x=1")));
        let long = format!("https://a.example/{}", "a".repeat(MAX_URL_BYTES));
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
