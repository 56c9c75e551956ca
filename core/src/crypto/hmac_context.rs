//! HMAC (RFC 2104) over a message that comes in parts.

use hmac::{Hmac, KeyInit, Mac as _};
use sha1::Sha1;
use sha2::{Sha256, Sha512};

use super::tag::{Tag, any_tag_equals};

/// The hash function of an HMAC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HmacAlgorithm {
    /// HMAC-SHA-1, with tags of 20 bytes. Collisions of SHA-1 do not break it as a MAC (RFC 6194,
    /// section 3.3); some senders have nothing newer.
    Sha1,
    /// HMAC-SHA-256, with tags of 32 bytes.
    Sha256,
    /// HMAC-SHA-512, with tags of 64 bytes.
    Sha512,
}

impl HmacAlgorithm {
    /// Length of a tag in bytes. A shorter tag is never accepted.
    pub fn tag_len(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }
}

/// An HMAC computation: keyed by [`HmacContext::new`], fed by [`HmacContext::update`], ended by
/// [`HmacContext::finish`] or [`HmacContext::matches_any`].
#[derive(Clone)]
pub struct HmacContext(KeyedHash);

#[derive(Clone)]
enum KeyedHash {
    Sha1(Hmac<Sha1>),
    Sha256(Hmac<Sha256>),
    Sha512(Box<Hmac<Sha512>>),
}

impl HmacContext {
    /// Starts an HMAC under this key; `None` where the key is empty, because anyone can compute a
    /// tag under an empty key.
    pub fn new(alg: HmacAlgorithm, key: &[u8]) -> Option<Self> {
        if key.is_empty() {
            return None;
        }
        Some(Self(match alg {
            HmacAlgorithm::Sha1 => KeyedHash::Sha1(Hmac::new_from_slice(key).ok()?),
            HmacAlgorithm::Sha256 => KeyedHash::Sha256(Hmac::new_from_slice(key).ok()?),
            HmacAlgorithm::Sha512 => KeyedHash::Sha512(Box::new(Hmac::new_from_slice(key).ok()?)),
        }))
    }

    /// Appends a part of the message.
    pub fn update(&mut self, part: &[u8]) {
        match &mut self.0 {
            KeyedHash::Sha1(hash) => hash.update(part),
            KeyedHash::Sha256(hash) => hash.update(part),
            KeyedHash::Sha512(hash) => hash.update(part),
        }
    }

    /// Returns the tag of the message, for signing. To check a received tag use
    /// [`HmacContext::matches_any`], which compares in constant time.
    pub fn finish(self) -> Vec<u8> {
        match self.0 {
            KeyedHash::Sha1(hash) => hash.finalize().into_bytes().to_vec(),
            KeyedHash::Sha256(hash) => hash.finalize().into_bytes().to_vec(),
            KeyedHash::Sha512(hash) => hash.finalize().into_bytes().to_vec(),
        }
    }

    /// Whether any of these is the tag of the message. Compares all of them, in constant time, so
    /// that the time taken does not depend on which one matches.
    pub fn matches_any(self, tags: &[Tag]) -> bool {
        any_tag_equals(tags, &self.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::Encoding;

    fn matches(text: &str) -> bool {
        let mut hmac =
            HmacContext::new(HmacAlgorithm::Sha256, b"It's a Secret to Everybody").unwrap();
        hmac.update(b"Hello, ");
        hmac.update(b"World!");
        let tags = Tag::decode(text, Encoding::Hex, 32..=32).into_iter().collect::<Vec<_>>();
        hmac.matches_any(&tags)
    }

    #[test]
    fn only_the_tag_that_github_publishes_matches_not_a_shorter_longer_or_changed_one() {
        let right = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        assert!(matches(right));
        assert!(matches(&right.to_uppercase()));
        for len in 0..right.len() {
            assert!(!matches(&right[..len]), "prefix of {len}");
        }
        assert!(!matches(&format!("{right}00")));
        for bit in 0..256 {
            let mut bytes = Encoding::Hex.decode(right).unwrap();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(!matches(&Encoding::Hex.encode(&bytes)), "bit {bit}");
        }
    }

    #[test]
    fn an_empty_hmac_key_is_rejected() {
        assert!(HmacContext::new(HmacAlgorithm::Sha256, b"").is_none());
    }
}
