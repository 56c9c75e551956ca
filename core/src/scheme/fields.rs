//! Fields of form bodies and queries (`application/x-www-form-urlencoded`), and lists in headers.

use crate::proof::VerifyError;
use crate::request::Request;

/// The one value of a field; an error where it stands there with different values.
pub(crate) fn form_value(bytes: &[u8], field: &str) -> Result<Option<String>, VerifyError> {
    let mut found: Option<String> = None;
    for pair in bytes.split(|b| *b == b'&') {
        let (key, value) = match pair.iter().position(|b| *b == b'=') {
            Some(at) => (pair.get(..at), pair.get(at + 1..)),
            None => (Some(pair), Some(&[][..])),
        };
        let (Some(key), Some(value)) = (key, value) else { continue };
        if decoded(key).as_deref() != Some(field) {
            continue;
        }
        let value = decoded(value)
            .ok_or_else(|| VerifyError::format(format!("the field {field} is not UTF-8")))?;
        match &found {
            Some(first) if *first != value => {
                return Err(VerifyError::format(format!(
                    "the field {field} came with different values"
                )));
            }
            _ => found = Some(value),
        }
    }
    Ok(found)
}

/// A field of a form body that must be there.
pub(super) fn form_text(request: &Request, field: &str) -> Result<String, VerifyError> {
    let found = form_value(request.body.bytes(), field)?.filter(|t| !t.is_empty());
    found.ok_or_else(|| VerifyError::missing(format!("the form field {field}")))
}

/// A header that must not be empty.
pub(super) fn non_empty<'a>(value: &'a str, name: &str) -> Result<&'a str, VerifyError> {
    if value.is_empty() {
        return Err(VerifyError::format(format!("the header {name} is empty")));
    }
    Ok(value)
}

fn decoded(part: &[u8]) -> Option<String> {
    let digit = |b: Option<&u8>| b.and_then(|b| char::from(*b).to_digit(16));
    let mut out = Vec::with_capacity(part.len());
    let mut at = 0;
    while let Some(byte) = part.get(at) {
        let pair = (digit(part.get(at + 1)), digit(part.get(at + 2)));
        match (byte, pair) {
            (b'%', (Some(high), Some(low))) => {
                out.push(u8::try_from(high * 16 + low).unwrap_or_default());
                at += 3;
                continue;
            }
            (b'+', _) => out.push(b' '),
            (byte, _) => out.push(*byte),
        }
        at += 1;
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_decoded_and_ambiguous_ones_refused() {
        assert_eq!(form_value(b"a=1&b=x%20y+z", "b").unwrap().as_deref(), Some("x y z"));
        assert_eq!(form_value(b"a=1&a=1", "a").unwrap().as_deref(), Some("1"));
        assert!(form_value(b"a=1&a=2", "a").is_err());
        assert_eq!(form_value(b"a=1", "b").unwrap(), None);
        assert_eq!(form_value(b"a=%zz", "a").unwrap().as_deref(), Some("%zz"));
    }
}
