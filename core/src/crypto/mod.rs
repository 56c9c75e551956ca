//! Tags and signatures: encodings, HMAC, and comparing in constant time. Providers and compiled
//! schemes build their proofs from these parts; no other module of the project compares secrets.
//!
//! A received tag is decoded first ([`Tag::decode`]) and compared only then. What cannot be a tag,
//! such as a truncated one, fails before any comparison.
//!
//! ```
//! use hookward_core::crypto::{Encoding, HmacAlgorithm, HmacContext, Tag};
//!
//! // The example of https://docs.github.com/webhooks/using-webhooks/validating-webhook-deliveries
//! let mut hmac = HmacContext::new(HmacAlgorithm::Sha256, b"It's a Secret to Everybody").unwrap();
//! hmac.update(b"Hello, World!");
//! let received = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
//! let tag = Tag::decode(received, Encoding::Hex, 32..=32).unwrap();
//! assert!(hmac.matches_any(&[tag]));
//! ```
//!
//! Signatures under a public key (Ed25519, ECDSA, RSA) need the feature `keys`, which is on by
//! default.

mod algorithm;
#[cfg(feature = "keys")]
pub(crate) mod der;
mod encoding;
mod hmac_context;
#[cfg(feature = "keys")]
mod public_key;
mod tag;

pub use algorithm::{ProofAlgorithm, sha256};
pub use encoding::Encoding;
pub use hmac_context::{HmacAlgorithm, HmacContext};
#[cfg(feature = "keys")]
pub use public_key::{
    p256_point_from_spki, p384_point_from_spki, rsa_key_from_components, rsa_key_from_spki,
};
pub use tag::{Tag, tokens_equal};
