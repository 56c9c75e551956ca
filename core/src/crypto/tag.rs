//! Received tags and tokens, compared in constant time. The only module of the project that
//! compares anything secret, and the only one that uses `subtle`.

use std::ops::RangeInclusive;

use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

use super::Encoding;

/// A tag or signature as decoded from a request. It always has a length that the algorithm allows.
#[derive(Clone)]
pub struct Tag(Vec<u8>);

impl Tag {
    /// Decodes a received tag; `None` where the text is malformed or its length in bytes is not in
    /// `len`. So a truncated tag never reaches the comparison.
    pub fn decode(text: &str, encoding: Encoding, len: RangeInclusive<usize>) -> Option<Self> {
        encoding.decode(text).filter(|bytes| len.contains(&bytes.len())).map(Self)
    }

    /// The bytes, for signatures that are verified under a public key and not compared.
    #[cfg(feature = "keys")]
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Whether any tag equals the expected one. Compares all of them, whichever matches.
pub(super) fn any_tag_equals(tags: &[Tag], expected: &[u8]) -> bool {
    let found =
        tags.iter().fold(Choice::from(0), |found, tag| found | tag.0.as_slice().ct_eq(expected));
    found.into()
}

/// Whether a received token is the configured one. An empty configured token never matches.
///
/// Compares the SHA-256 hashes of both in constant time, so that the time taken does not depend on
/// the secret, not even on its length.
///
/// ```
/// use hookward_core::crypto::tokens_equal;
///
/// assert!(tokens_equal(b"s3cr3t", b"s3cr3t"));
/// assert!(!tokens_equal(b"s3cr3", b"s3cr3t"));
/// assert!(!tokens_equal(b"", b""));
/// ```
pub fn tokens_equal(received: &[u8], configured: &[u8]) -> bool {
    let same: bool = Sha256::digest(received).ct_eq(&Sha256::digest(configured)).into();
    same && !configured.is_empty()
}
