//! Form fields of bodies and queries, and checks of required fields and headers.

use crate::body::Body;
pub use crate::form_pairs::form_pairs;
use crate::json::without_byte_order_mark;
use crate::request::Request;
use crate::verify_error::VerifyError;

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
    single_value(form_pairs(bytes), field)
}

/// The value of a field of a body that is a form, urlencoded or multipart; `None` where the field
/// is absent. Several fields of the name must have the same value.
///
/// # Errors
/// [`VerifyError::InvalidFormat`] where the body cannot be read as a form, and where the field has
/// several different values or is not UTF-8.
///
/// ```
/// use hookward_core::Body;
/// use hookward_core::scheme::body_form_value;
///
/// let part = "--x\r\nContent-Disposition: form-data; name=\"token\"\r\n\r\na\r\n--x--\r\n";
/// let body = Body::received(part, Some("multipart/form-data; boundary=x"), None);
/// assert_eq!(body_form_value(&body, "token")?.as_deref(), Some("a"));
/// # Ok::<(), hookward_core::VerifyError>(())
/// ```
pub fn body_form_value(body: &Body, field: &str) -> Result<Option<String>, VerifyError> {
    let unreadable = |e: &crate::body_error::BodyError| VerifyError::invalid_format(e.to_string());
    if body.is_multipart() {
        let fields = body.form_fields().map_err(unreadable)?.unwrap_or_default();
        let pairs = fields.iter().map(|f| (f.name().as_bytes().to_vec(), f.bytes().to_vec()));
        return single_value(pairs, field);
    }
    let content = body.content().map_err(unreadable)?;
    form_value(without_byte_order_mark(content), field)
}

fn single_value(
    pairs: impl Iterator<Item = (Vec<u8>, Vec<u8>)>,
    field: &str,
) -> Result<Option<String>, VerifyError> {
    let mut found: Option<String> = None;
    for (name, value) in pairs {
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
    let found = body_form_value(&request.body, field)?.filter(|t| !t.is_empty());
    found.ok_or_else(|| VerifyError::missing_signature(format!("the form field {field}")))
}

/// Rejects an empty header value; otherwise returns it.
pub(super) fn non_empty_header<'a>(value: &'a str, name: &str) -> Result<&'a str, VerifyError> {
    if value.is_empty() {
        return Err(VerifyError::invalid_format(format!("the header {name} is empty")));
    }
    Ok(value)
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
}
