//! The text that Contentful signs: method, path, the headers that it names, and the body, a line each.
//! Called by the proof and by the signer.

use std::collections::BTreeSet;

use hookward_core::{Head, VerifyError};

pub(crate) const SIGNATURE: &str = "x-contentful-signature";
pub(crate) const SIGNED_HEADERS: &str = "x-contentful-signed-headers";
pub(crate) const TIMESTAMP: &str = "x-contentful-timestamp";
const MAX_HEADERS: usize = 64;

/// The names of the signed headers, sorted. The time and the list itself have to be among them.
pub(crate) fn signed_headers(head: &Head) -> Result<BTreeSet<&str>, VerifyError> {
    let names: BTreeSet<&str> =
        head.required(SIGNED_HEADERS)?.split(',').take(MAX_HEADERS + 1).collect();
    let plain = |name: &&str| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic() && !b.is_ascii_uppercase())
    };
    if names.len() > MAX_HEADERS || !names.iter().all(plain) {
        return Err(VerifyError::invalid_format(format!(
            "{SIGNED_HEADERS} is no list of header names"
        )));
    }
    for needed in [SIGNED_HEADERS, TIMESTAMP] {
        if !names.contains(needed) {
            return Err(VerifyError::invalid_format(format!(
                "{SIGNED_HEADERS} does not name {needed}"
            )));
        }
    }
    Ok(names)
}

/// What stands before the body.
pub(crate) fn head(head: &Head) -> Result<String, VerifyError> {
    let names = signed_headers(head)?;
    let list = names.iter().copied().collect::<Vec<_>>().join(",");
    let mut lines = Vec::with_capacity(names.len());
    for name in names {
        let value =
            if name == SIGNED_HEADERS { list.as_str() } else { head.required(name)?.trim() };
        lines.push(format!("{name}:{value}"));
    }
    Ok(format!("{}\n{}\n{}\n", head.method, path(&head.target)?, lines.join(";")))
}

/// Path and query, escaped as JavaScript does it: the query whole, as if it were one value, and then
/// both once more as a URL.
fn path(target: &str) -> Result<String, VerifyError> {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    if query.contains('?') {
        return Err(VerifyError::invalid_format(
            "what follows a second question mark is not signed",
        ));
    }
    let whole = match query {
        "" => path.to_owned(),
        query => format!("{path}?{}", escaped(query, "-_.!~*'()")),
    };
    Ok(escaped(&whole, "-_.!~*'();/?:@&=+$,#"))
}

fn escaped(text: &str, plain: &str) -> String {
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
            assert_eq!(path(target).unwrap(), signed);
        }
        assert!(path("/in?a=1?b=2").is_err());
    }
}
