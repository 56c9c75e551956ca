//! What ties a message to a key: a MAC, a plain hash with the key in the message, or a signature
//! that the sender made with a private key. Called by compiled schemes.

use std::ops::RangeInclusive;

use sha2::{Digest, Sha256};

use super::public;
use super::tag::{HmacAlgorithm, Mac, Tag, any_equals};

/// How a tag is made, or checked, for a message and a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProofAlgorithm {
    /// A MAC under a shared key.
    Hmac(HmacAlgorithm),
    /// SHA-256 over a message that the shared key is a part of.
    Sha256,
    /// Ed25519; the key is the sender's public one. Strict: see [`ProofAlgorithm::takes_key`].
    Ed25519,
    /// ECDSA over P-256 with SHA-256, in DER; the key is the sender's public point, uncompressed.
    EcdsaP256,
    /// The same as two numbers of 32 bytes each, which is how a JWT writes it.
    EcdsaP256Fixed,
    /// RSA, PKCS#1 v1.5, SHA-256; the key is a PKCS#1 `RSAPublicKey` of 2048 to 8192 bits.
    RsaSha256,
    /// The same with SHA-1, for a sender that still signs so. Whoever can choose what is signed may
    /// find two messages with one signature; whoever cannot, may not.
    RsaSha1,
}

/// The SHA-256 of some bytes, for tokens that hold it.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

impl ProofAlgorithm {
    /// How many bytes a tag has.
    pub fn tag_len(self) -> RangeInclusive<usize> {
        match self {
            Self::Hmac(alg) => alg.tag_len()..=alg.tag_len(),
            Self::Sha256 => 32..=32,
            Self::Ed25519 => 64..=64,
            // Two integers of 1 to 33 bytes with their tags and lengths.
            Self::EcdsaP256 => 8..=72,
            Self::EcdsaP256Fixed => 64..=64,
            Self::RsaSha256 | Self::RsaSha1 => 256..=1024,
        }
    }

    /// Whether the key is public, so that whoever has it can check and cannot sign.
    pub fn is_public(self) -> bool {
        !matches!(self, Self::Hmac(_) | Self::Sha256)
    }

    /// Whether this can be a key at all. An empty one never is, and neither is an Ed25519 key of
    /// small order or in a second spelling (under such a key anyone can sign), nor a short RSA key.
    pub fn takes_key(self, key: &[u8]) -> bool {
        match self {
            Self::Hmac(_) | Self::Sha256 => !key.is_empty(),
            Self::Ed25519 => public::is_ed25519_point(key),
            Self::EcdsaP256 | Self::EcdsaP256Fixed => {
                key.len() == public::P256_POINT && key.first() == Some(&4)
            }
            Self::RsaSha256 | Self::RsaSha1 => public::is_rsa_key(key),
        }
    }

    /// Whether any of these is right for the message. Shared keys: all tags are compared, in
    /// constant time.
    pub fn matches_any(self, key: &[u8], parts: &[&[u8]], tags: &[Tag]) -> bool {
        match self {
            _ if !self.takes_key(key) => false,
            Self::Ed25519 => public::ed25519(key, &parts.concat(), tags),
            Self::EcdsaP256 => public::ecdsa_p256(key, &parts.concat(), tags),
            Self::EcdsaP256Fixed => public::ecdsa_p256_fixed(key, &parts.concat(), tags),
            Self::RsaSha256 => public::rsa_sha256(key, &parts.concat(), tags),
            Self::RsaSha1 => public::rsa_sha1(key, &parts.concat(), tags),
            Self::Hmac(_) | Self::Sha256 => {
                self.tag(key, parts).is_some_and(|expected| any_equals(tags, &expected))
            }
        }
    }

    /// The tag of the message; `None` where the key is empty or public.
    pub fn tag(self, key: &[u8], parts: &[&[u8]]) -> Option<Vec<u8>> {
        match self {
            Self::Hmac(alg) => {
                let mut mac = Mac::new(alg, key)?;
                parts.iter().for_each(|part| mac.update(part));
                Some(mac.finish())
            }
            Self::Sha256 if !key.is_empty() => {
                let hash = parts.iter().fold(Sha256::new(), |hash, part| hash.chain_update(part));
                Some(hash.finalize().to_vec())
            }
            _ => None,
        }
    }
}
