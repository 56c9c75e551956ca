//! Form fields (`application/x-www-form-urlencoded`) of bodies and queries, and checks of required
//! fields and headers.

use crate::request::Request;
use crate::verify_error::VerifyError;

/// Iterates over the fields of a form body or a query (WHATWG URL, section 5.1), decoded and in
/// order.
///
/// Names and values are bytes, because a signature may cover some that are not UTF-8. A malformed
/// percent escape stays as it is.
///
/// ```
/// use hookward_core::scheme::form_pairs;
///
/// let pairs: Vec<_> = form_pairs(b"name=Ada+L&id=%37").collect();
/// assert_eq!(pairs[0], (b"name".to_vec(), b"Ada L".to_vec()));
/// assert_eq!(pairs[1], (b"id".to_vec(), b"7".to_vec()));
/// ```
pub fn form_pairs(bytes: &[u8]) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> + '_ {
    bytes.split(|b| *b == b'&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = match pair.iter().position(|b| *b == b'=') {
            Some(at) => (pair.get(..at), pair.get(at + 1..)),
            None => (Some(pair), None),
        };
        (percent_decode(name.unwrap_or_default()), percent_decode(value.unwrap_or_default()))
    })
}

/// The value of a field of a form body or a query; `None` where the field is absent. Several fields
/// of the name must have the same value.
///
/// # Errors
/// [`VerifyError::InvalidFormat`] where the field has several different values or is not UTF-8.
///
/// ```
/// use hookward_core::scheme::form_value;
///
/// assert_eq!(form_value(b"token=a&time=1", "token")?.as_deref(), Some("a"));
/// assert_eq!(form_value(b"time=1", "token")?, None);
/// assert!(form_value(b"token=a&token=b", "token").is_err());
/// # Ok::<(), hookward_core::VerifyError>(())
/// ```
pub fn form_value(bytes: &[u8], field: &str) -> Result<Option<String>, VerifyError> {
    let mut found: Option<String> = None;
    for (name, value) in form_pairs(bytes) {
        if name != field.as_bytes() {
            continue;
        }
        let value = String::from_utf8(value)
            .map_err(|_| VerifyError::invalid_format(format!("the field {field} is not UTF-8")))?;
        match &found {
            Some(first) if *first != value => {
                return Err(VerifyError::invalid_format(format!(
                    "the field {field} has several different values"
                )));
            }
            _ => found = Some(value),
        }
    }
    Ok(found)
}

/// The value of a form field that must be present and not empty.
pub(super) fn required_form_text(request: &Request, field: &str) -> Result<String, VerifyError> {
    let found = form_value(request.body.bytes(), field)?.filter(|t| !t.is_empty());
    found.ok_or_else(|| VerifyError::missing_signature(format!("the form field {field}")))
}

/// Rejects an empty header value; otherwise returns it.
pub(super) fn non_empty_header<'a>(value: &'a str, name: &str) -> Result<&'a str, VerifyError> {
    if value.is_empty() {
        return Err(VerifyError::invalid_format(format!("the header {name} is empty")));
    }
    Ok(value)
}

/// Decodes `%XX` and `+`.
fn percent_decode(part: &[u8]) -> Vec<u8> {
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
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn form_fields_are_decoded_and_ambiguous_ones_rejected() {
        assert_eq!(form_value(b"a=1&b=x%20y+z", "b").unwrap().as_deref(), Some("x y z"));
        assert_eq!(form_value(b"a=1&a=1", "a").unwrap().as_deref(), Some("1"));
        assert!(form_value(b"a=1&a=2", "a").is_err());
        assert_eq!(form_value(b"a=1", "b").unwrap(), None);
        assert_eq!(form_value(b"a=%zz", "a").unwrap().as_deref(), Some("%zz"));
        assert!(form_value(b"a=%ff", "a").is_err());
    }

    #[test]
    fn form_pairs_keep_their_order_and_bytes() {
        let pairs: Vec<_> = form_pairs(b"b=2&&a=%ff+&c").collect();
        let want: [(&[u8], &[u8]); 3] = [(b"b", b"2"), (b"a", b"\xff "), (b"c", b"")];
        assert_eq!(pairs, want.map(|(name, value)| (name.to_vec(), value.to_vec())));
    }
}
