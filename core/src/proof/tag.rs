//! Tags: decoding and comparing them, in constant time. The only place of the project that
//! compares anything secret, and the only one that uses `subtle`.

use std::ops::RangeInclusive;

use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER_PERMISSIVE};
use hmac::{Hmac, KeyInit, Mac as _};
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};
use subtle::ConstantTimeEq;

/// How a tag is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// Hexadecimal in either case.
    Hex,
    /// Base64 with padding, canonical.
    Base64,
    /// URL-safe base64 without padding, canonical.
    Base64url,
}

impl Encoding {
    /// The bytes that a text stands for, or `None` where it is not canonical.
    pub fn decode(self, text: &str) -> Option<Vec<u8>> {
        match self {
            Self::Hex => HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok(),
            Self::Base64 => BASE64.decode(text.as_bytes()).ok(),
            Self::Base64url => BASE64URL_NOPAD.decode(text.as_bytes()).ok(),
        }
    }

    /// The text for these bytes.
    pub fn encode(self, bytes: &[u8]) -> String {
        match self {
            Self::Hex => HEXLOWER_PERMISSIVE.encode(bytes),
            Self::Base64 => BASE64.encode(bytes),
            Self::Base64url => BASE64URL_NOPAD.encode(bytes),
        }
    }
}

/// The hash under an HMAC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HmacAlgorithm {
    /// 20-byte tags. Old, unbroken as a MAC.
    Sha1,
    /// 32-byte tags.
    Sha256,
    /// 64-byte tags.
    Sha512,
}

impl HmacAlgorithm {
    /// Length of a tag in bytes.
    pub fn tag_len(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }
}

/// A tag as decoded from a request: of a right length, or it is not one.
#[derive(Clone)]
pub struct Tag(Vec<u8>);

impl Tag {
    /// Decodes first; a tag of another length fails here and never reaches the comparison.
    pub fn decode(text: &str, encoding: Encoding, len: RangeInclusive<usize>) -> Option<Self> {
        encoding.decode(text).filter(|bytes| len.contains(&bytes.len())).map(Self)
    }

    /// For signatures that are verified, not compared.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// An HMAC being computed over a message that comes in parts.
#[derive(Clone)]
pub struct Mac(State);

#[derive(Clone)]
enum State {
    Sha1(Hmac<Sha1>),
    Sha256(Hmac<Sha256>),
    Sha512(Box<Hmac<Sha512>>),
}

impl Mac {
    /// Keys it. HMAC takes keys of any length; empty ones are refused long before, with the
    /// configuration, and once more here: an empty key gives `None`.
    pub fn new(alg: HmacAlgorithm, key: &[u8]) -> Option<Self> {
        if key.is_empty() {
            return None;
        }
        Some(Self(match alg {
            HmacAlgorithm::Sha1 => State::Sha1(Hmac::new_from_slice(key).ok()?),
            HmacAlgorithm::Sha256 => State::Sha256(Hmac::new_from_slice(key).ok()?),
            HmacAlgorithm::Sha512 => State::Sha512(Box::new(Hmac::new_from_slice(key).ok()?)),
        }))
    }

    /// The next part of the message.
    pub fn update(&mut self, part: &[u8]) {
        match &mut self.0 {
            State::Sha1(mac) => mac.update(part),
            State::Sha256(mac) => mac.update(part),
            State::Sha512(mac) => mac.update(part),
        }
    }

    /// The tag of the message.
    pub fn finish(self) -> Vec<u8> {
        match self.0 {
            State::Sha1(mac) => mac.finalize().into_bytes().to_vec(),
            State::Sha256(mac) => mac.finalize().into_bytes().to_vec(),
            State::Sha512(mac) => mac.finalize().into_bytes().to_vec(),
        }
    }

    /// Whether any of these is the tag of the message. All are compared, whichever matches.
    pub fn matches_any(self, tags: &[Tag]) -> bool {
        any_equals(tags, &self.finish())
    }
}

/// Whether any tag is this one. All are compared, whichever matches.
pub(super) fn any_equals(tags: &[Tag], expected: &[u8]) -> bool {
    let found = tags
        .iter()
        .fold(subtle::Choice::from(0), |found, tag| found | tag.0.as_slice().ct_eq(expected));
    found.into()
}

/// Whether a token given by a sender is the configured one. Both are hashed first, so that not
/// even the length of the secret shows in the time this takes. An empty token never matches.
pub fn tokens_equal(given: &[u8], configured: &[u8]) -> bool {
    let same: bool = Sha256::digest(given).ct_eq(&Sha256::digest(configured)).into();
    same && !configured.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(text: &str) -> bool {
        let mut mac = Mac::new(HmacAlgorithm::Sha256, b"It's a Secret to Everybody").unwrap();
        mac.update(b"Hello, ");
        mac.update(b"World!");
        let tags = Tag::decode(text, Encoding::Hex, 32..=32).into_iter().collect::<Vec<_>>();
        mac.matches_any(&tags)
    }

    #[test]
    fn the_published_github_value_matches_and_no_shorter_longer_or_changed_one_does() {
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
    fn base64_is_canonical() {
        assert!(Encoding::Base64.decode("QQ==").is_some());
        for odd in ["QQ", "QR==", "QQ=", "QQ==\n", " QQ=="] {
            assert!(Encoding::Base64.decode(odd).is_none(), "{odd:?}");
        }
    }

    #[test]
    fn an_empty_key_or_token_is_never_right() {
        assert!(Mac::new(HmacAlgorithm::Sha256, b"").is_none());
        assert!(!tokens_equal(b"", b""));
        assert!(tokens_equal(b"t", b"t"));
        assert!(!tokens_equal(b"t", b"tt"));
    }
}
