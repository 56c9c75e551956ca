//! Builds the text that Contentful signs: method, path, the listed headers, and the body, a line
//! each. Verification and the signer call this module.

use std::collections::BTreeSet;

use hookward_core::{Head, VerifyError};

pub(crate) const SIGNATURE_HEADER: &str = "x-contentful-signature";
pub(crate) const SIGNED_HEADERS: &str = "x-contentful-signed-headers";
pub(crate) const TIMESTAMP: &str = "x-contentful-timestamp";
const MAX_SIGNED_HEADERS: usize = 64;

/// Returns the names of the signed headers, sorted. The list must include the time and itself:
/// otherwise anyone could change them.
pub(crate) fn signed_headers(head: &Head) -> Result<BTreeSet<&str>, VerifyError> {
    let names: BTreeSet<&str> =
        head.required(SIGNED_HEADERS)?.split(',').take(MAX_SIGNED_HEADERS + 1).collect();
    let plain = |name: &&str| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic() && !b.is_ascii_uppercase())
    };
    if names.len() > MAX_SIGNED_HEADERS || !names.iter().all(plain) {
        return Err(VerifyError::invalid_format(format!(
            "{SIGNED_HEADERS} is not a list of up to {MAX_SIGNED_HEADERS} lower-case header names"
        )));
    }
    for needed in [SIGNED_HEADERS, TIMESTAMP] {
        if !names.contains(needed) {
            return Err(VerifyError::invalid_format(format!(
                "{SIGNED_HEADERS} does not list {needed}"
            )));
        }
    }
    Ok(names)
}

/// Returns the signed text before the body.
pub(crate) fn canonical_head(head: &Head) -> Result<String, VerifyError> {
    let names = signed_headers(head)?;
    let list = names.iter().copied().collect::<Vec<_>>().join(",");
    let mut lines = Vec::with_capacity(names.len());
    for name in names {
        let value =
            if name == SIGNED_HEADERS { list.as_str() } else { head.required(name)?.trim() };
        lines.push(format!("{name}:{value}"));
    }
    Ok(format!("{}\n{}\n{}\n", head.method, canonical_path(&head.target)?, lines.join(";")))
}

/// Escapes path and query as Contentful's JavaScript library does: the whole query with
/// `encodeURIComponent`, as if it were one value, then path and query with `encodeURI`.
fn canonical_path(target: &str) -> Result<String, VerifyError> {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    if query.contains('?') {
        return Err(VerifyError::invalid_format(
            "the URL has a second question mark; what follows it is not signed",
        ));
    }
    let whole = match query {
        "" => path.to_owned(),
        query => format!("{path}?{}", percent_encode(query, "-_.!~*'()")),
    };
    Ok(percent_encode(&whole, "-_.!~*'();/?:@&=+$,#"))
}

fn percent_encode(text: &str, plain: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || plain.as_bytes().contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_escaped_once_and_a_query_twice() {
        for (target, signed) in [
            ("/in/1", "/in/1"),
            ("/in/1?", "/in/1"),
            ("/in/1?b=2&a=1", "/in/1?b%253D2%2526a%253D1"),
            ("/in/%20", "/in/%2520"),
        ] {
            assert_eq!(canonical_path(target).unwrap(), signed);
        }
        assert!(canonical_path("/in?a=1?b=2").is_err());
    }
}
