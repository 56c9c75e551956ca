//! User and password as they stand in the header: `Basic`, a space, and both with a colon between them
//! in base64 (RFC 7617).

use hookward_core::crypto::{Encoding, tokens_equal};
use hookward_core::{Head, Secret, VerifyError};

/// What stands before them.
pub(crate) const SCHEME: &str = "Basic ";

/// The bytes of user, colon and password.
pub(crate) fn given(head: &Head) -> Result<Vec<u8>, VerifyError> {
    let coded = head.required("authorization")?.strip_prefix(SCHEME);
    let given = coded.and_then(|coded| Encoding::Base64.decode(coded));
    given.filter(|given| given.contains(&b':')).ok_or_else(|| {
        VerifyError::invalid_format("the header Authorization holds no user and password")
    })
}

/// Whether they are these, compared as a whole and in constant time.
pub(crate) fn are(given: &[u8], whole: &Secret) -> bool {
    check(whole).is_ok() && tokens_equal(given, whole.expose().as_bytes())
}

/// Whether a text can be user and password.
pub(crate) fn check(whole: &Secret) -> Result<(), String> {
    match whole.expose().split_once(':') {
        Some((user, password)) if !user.is_empty() && !password.is_empty() => Ok(()),
        Some(_) => Err("has an empty user or an empty password".to_owned()),
        None => Err("is not `user:password`; or set `with: { user: … }`".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, header};

    use super::*;

    fn given_by(value: &'static str) -> Result<Vec<u8>, &'static str> {
        let mut head = Head::default();
        head.headers.insert(header::AUTHORIZATION, HeaderValue::from_static(value));
        given(&head).map_err(|e| e.code())
    }

    #[test]
    fn the_published_example_reads_and_what_is_no_pair_does_not() {
        let right = given_by("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==").unwrap();
        assert_eq!(right, b"Aladdin:open sesame");
        for bad in ["Basic", "Basic ", "Basic QWxhZGRpbg==", "Bearer QTpi", "Basic QTpi=", "QTpi"] {
            assert_eq!(given_by(bad), Err("INVALID_FORMAT"), "{bad}");
        }
    }

    #[test]
    fn a_password_may_hold_a_colon_and_neither_half_is_empty() {
        assert!(are(b"a:b:c", &Secret::new("a:b:c")));
        assert!(!are(b"a:b", &Secret::new("a:b:c")));
        for empty in [":", "a:", ":b", "ab", ""] {
            assert!(!are(empty.as_bytes(), &Secret::new(empty)), "{empty}");
        }
    }
}
