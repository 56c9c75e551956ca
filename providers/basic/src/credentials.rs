//! Parses and compares the credentials of the header `Authorization`: `Basic`, a space, and the
//! base64 of user, colon and password (RFC 7617).

use hookward_core::crypto::{Encoding, tokens_equal};
use hookward_core::{Head, Secret, SecretError, VerifyError};

/// Text before the base64 in the header.
pub(crate) const SCHEME: &str = "Basic ";

/// Returns the decoded `user:password` of a request.
pub(crate) fn from_header(head: &Head) -> Result<Vec<u8>, VerifyError> {
    let coded = head.required("authorization")?.strip_prefix(SCHEME);
    let given = coded.and_then(|coded| Encoding::Base64.decode(coded));
    given.filter(|given| given.contains(&b':')).ok_or_else(|| {
        VerifyError::invalid_format(
            "the header Authorization is not `Basic` with a user and a password in base64",
        )
    })
}

/// Compares credentials with the expected ones, as a whole and in constant time.
pub(crate) fn matches(given: &[u8], expected: &Secret) -> bool {
    check(expected).is_ok() && tokens_equal(given, expected.expose().as_bytes())
}

/// Checks that a text is `user:password` with neither half empty.
pub(crate) fn check(credentials: &Secret) -> Result<(), SecretError> {
    match credentials.expose().split_once(':') {
        Some((user, password)) if !user.is_empty() && !password.is_empty() => Ok(()),
        Some(_) => Err(SecretError::new("has an empty user or an empty password")),
        None => Err(SecretError::new("is not `user:password`; or set `with: { user: … }`")),
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, header};

    use super::*;

    fn parse_header(value: &'static str) -> Result<Vec<u8>, &'static str> {
        let mut head = Head::default();
        head.headers.insert(header::AUTHORIZATION, HeaderValue::from_static(value));
        from_header(&head).map_err(|e| e.code())
    }

    #[test]
    fn the_example_of_rfc_7617_parses_and_malformed_headers_are_rejected() {
        let parsed = parse_header("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==").unwrap();
        assert_eq!(parsed, b"Aladdin:open sesame");
        for bad in ["Basic", "Basic ", "Basic QWxhZGRpbg==", "Bearer QTpi", "Basic QTpi=", "QTpi"] {
            assert_eq!(parse_header(bad), Err("INVALID_FORMAT"), "{bad}");
        }
    }

    #[test]
    fn a_password_may_contain_a_colon_and_neither_half_may_be_empty() {
        assert!(matches(b"a:b:c", &Secret::new("a:b:c")));
        assert!(!matches(b"a:b", &Secret::new("a:b:c")));
        for empty in [":", "a:", ":b", "ab", ""] {
            assert!(!matches(empty.as_bytes(), &Secret::new(empty)), "{empty}");
        }
    }
}
