//! The algorithms that tie a message to a key. Called by compiled schemes, by [`crate::keys`] and
//! by providers whose signatures have a form of their own.

use std::ops::RangeInclusive;

use sha2::{Digest, Sha256};

use super::hmac_context::{HmacAlgorithm, HmacContext};
#[cfg(feature = "keys")]
use ring::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519,
    RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, RSA_PKCS1_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA512,
};

#[cfg(feature = "keys")]
use super::public_key;
use super::tag::{Tag, any_tag_equals};

/// How the tag of a message is made and checked: by a shared key, or by the sender's key pair.
///
/// Variants for key pairs need the feature `keys`.
///
/// ```
/// use hookward_core::crypto::{Encoding, HmacAlgorithm, ProofAlgorithm, Tag};
///
/// let hmac = ProofAlgorithm::Hmac(HmacAlgorithm::Sha256);
/// let message: [&[u8]; 3] = [b"1760000000", b".", b"{}"];
/// let sent = Encoding::Base64.encode(&hmac.tag(b"s3cr3t", &message).unwrap());
///
/// let received = Tag::decode(&sent, Encoding::Base64, hmac.tag_len()).unwrap();
/// assert!(hmac.matches_any(b"s3cr3t", &message, &[received.clone()]));
/// assert!(!hmac.matches_any(b"another", &message, &[received]));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProofAlgorithm {
    /// An HMAC (RFC 2104) under a shared key.
    Hmac(HmacAlgorithm),
    /// SHA-256 over a message that contains the shared key.
    Sha256,
    /// Ed25519 (RFC 8032). The key is the sender's public key of 32 bytes; see
    /// [`ProofAlgorithm::accepts_key`] for the keys that are rejected.
    #[cfg(feature = "keys")]
    Ed25519,
    /// ECDSA over P-256 with SHA-256, signature in DER. The key is the sender's public point,
    /// uncompressed, 65 bytes ([`p256_point_from_spki`](super::p256_point_from_spki)).
    #[cfg(feature = "keys")]
    EcdsaP256Der,
    /// ECDSA over P-256 with SHA-256, signature as `r` and `s` of 32 bytes each, the form of JWTs
    /// (RFC 7518, section 3.4). The key is as for [`ProofAlgorithm::EcdsaP256Der`].
    #[cfg(feature = "keys")]
    EcdsaP256Fixed,
    /// ECDSA over P-384 with SHA-384, signature as `r` and `s` of 48 bytes each (RFC 9421, section
    /// 3.3.5). The key is the sender's public point, uncompressed, 97 bytes
    /// ([`p384_point_from_spki`](super::p384_point_from_spki)).
    #[cfg(feature = "keys")]
    EcdsaP384Fixed,
    /// RSA PKCS#1 v1.5 with SHA-256 (RFC 8017, section 8.2). The key is a PKCS#1 `RSAPublicKey` of
    /// 2048 to 8192 bits ([`rsa_key_from_spki`](super::rsa_key_from_spki)).
    #[cfg(feature = "keys")]
    RsaSha256,
    /// RSA PKCS#1 v1.5 with SHA-1, for senders that sign with nothing newer. Whoever can choose
    /// what is signed may find two messages with one signature; nobody else can. The key is as for
    /// [`ProofAlgorithm::RsaSha256`].
    #[cfg(feature = "keys")]
    RsaSha1,
    /// RSASSA-PSS with SHA-512, and a salt of 64 bytes (RFC 8017, section 8.1; RFC 9421, section
    /// 3.3.1). The key is as for [`ProofAlgorithm::RsaSha256`].
    #[cfg(feature = "keys")]
    RsaPssSha512,
}

/// The SHA-256 hash of some bytes, for tokens that contain the hash of a body.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

impl ProofAlgorithm {
    /// The lengths in bytes that a tag can have.
    pub fn tag_len(self) -> RangeInclusive<usize> {
        match self {
            Self::Hmac(alg) => alg.tag_len()..=alg.tag_len(),
            Self::Sha256 => 32..=32,
            #[cfg(feature = "keys")]
            Self::Ed25519 | Self::EcdsaP256Fixed => 64..=64,
            // A SEQUENCE of two INTEGERs of 1 to 33 bytes, each value after two bytes of tag and
            // length.
            #[cfg(feature = "keys")]
            Self::EcdsaP256Der => 8..=72,
            #[cfg(feature = "keys")]
            Self::EcdsaP384Fixed => 96..=96,
            #[cfg(feature = "keys")]
            Self::RsaSha256 | Self::RsaSha1 | Self::RsaPssSha512 => 256..=1024,
        }
    }

    /// Whether the key is a public one: it checks tags and cannot make them.
    pub fn is_public(self) -> bool {
        !matches!(self, Self::Hmac(_) | Self::Sha256)
    }

    /// Whether these bytes can be a key of this algorithm.
    ///
    /// Never accepted are an empty key, an RSA key under 2048 bits, and an Ed25519 key of small
    /// order or in a non-canonical encoding: under such an Ed25519 key anyone can make signatures.
    pub fn accepts_key(self, key: &[u8]) -> bool {
        match self {
            Self::Hmac(_) | Self::Sha256 => !key.is_empty(),
            #[cfg(feature = "keys")]
            Self::Ed25519 => public_key::is_ed25519_point(key),
            #[cfg(feature = "keys")]
            Self::EcdsaP256Der | Self::EcdsaP256Fixed => public_key::is_p256_point(key),
            #[cfg(feature = "keys")]
            Self::EcdsaP384Fixed => public_key::is_p384_point(key),
            #[cfg(feature = "keys")]
            Self::RsaSha256 | Self::RsaSha1 | Self::RsaPssSha512 => public_key::is_rsa_key(key),
        }
    }

    /// Whether any of these is a right tag of the message, which is the concatenation of `parts`.
    /// Under a shared key all tags are compared, in constant time.
    pub fn matches_any(self, key: &[u8], parts: &[&[u8]], tags: &[Tag]) -> bool {
        if !self.accepts_key(key) {
            return false;
        }
        match self {
            Self::Hmac(_) | Self::Sha256 => {
                self.tag(key, parts).is_some_and(|expected| any_tag_equals(tags, &expected))
            }
            #[cfg(feature = "keys")]
            Self::Ed25519 => {
                let is_strict = |tag: &&Tag| public_key::has_strict_point(tag);
                let strict: Vec<Tag> = tags.iter().filter(is_strict).cloned().collect();
                public_key::verifies_any(&ED25519, key, &parts.concat(), &strict)
            }
            #[cfg(feature = "keys")]
            Self::EcdsaP256Der => {
                public_key::verifies_any(&ECDSA_P256_SHA256_ASN1, key, &parts.concat(), tags)
            }
            #[cfg(feature = "keys")]
            Self::EcdsaP256Fixed => {
                public_key::verifies_any(&ECDSA_P256_SHA256_FIXED, key, &parts.concat(), tags)
            }
            #[cfg(feature = "keys")]
            Self::RsaSha256 => {
                public_key::verifies_any(&RSA_PKCS1_2048_8192_SHA256, key, &parts.concat(), tags)
            }
            #[cfg(feature = "keys")]
            Self::EcdsaP384Fixed => {
                public_key::verifies_any(&ECDSA_P384_SHA384_FIXED, key, &parts.concat(), tags)
            }
            #[cfg(feature = "keys")]
            Self::RsaPssSha512 => {
                public_key::verifies_any(&RSA_PSS_2048_8192_SHA512, key, &parts.concat(), tags)
            }
            #[cfg(feature = "keys")]
            Self::RsaSha1 => {
                let algorithm = &RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY;
                public_key::verifies_any(algorithm, key, &parts.concat(), tags)
            }
        }
    }

    /// The tag of the message, which is the concatenation of `parts`; `None` where the key is empty
    /// or public. To check a received tag use [`ProofAlgorithm::matches_any`].
    pub fn tag(self, key: &[u8], parts: &[&[u8]]) -> Option<Vec<u8>> {
        match self {
            Self::Hmac(alg) => {
                let mut hmac = HmacContext::new(alg, key)?;
                parts.iter().for_each(|part| hmac.update(part));
                Some(hmac.finish())
            }
            Self::Sha256 if !key.is_empty() => {
                let hash = parts.iter().fold(Sha256::new(), |hash, part| hash.chain_update(part));
                Some(hash.finalize().to_vec())
            }
            // An empty key, under which anyone can compute the tag, or a public one.
            _ => None,
        }
    }
}
