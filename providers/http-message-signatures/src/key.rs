//! Keys, and what an algorithm's registered name stands for. The configuration names the algorithm;
//! what a request says of it can only contradict.

use hookward_core::Secret;
use hookward_core::crypto::{
    Encoding, HmacAlgorithm, ProofAlgorithm, p256_point_from_spki, rsa_key_from_spki,
};
use schemars::JsonSchema;
use serde::Deserialize;

/// What stands before the key in a SubjectPublicKeyInfo of Ed25519.
const ED25519_SPKI: [u8; 12] =
    [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// An algorithm of RFC 9421.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
pub enum KeyAlgorithm {
    /// A shared secret.
    #[default]
    #[serde(rename = "hmac-sha256")]
    HmacSha256,
    /// The sender's public key.
    #[serde(rename = "ed25519")]
    Ed25519,
    /// The sender's public key.
    #[serde(rename = "ecdsa-p256-sha256")]
    EcdsaP256Sha256,
    /// The sender's public key.
    #[serde(rename = "rsa-v1_5-sha256")]
    RsaV15Sha256,
}

/// How a shared secret is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SecretForm {
    /// Its bytes as they are.
    #[default]
    Utf8,
    /// Base64, decoded.
    Base64,
}

impl KeyAlgorithm {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::HmacSha256 => "hmac-sha256",
            Self::Ed25519 => "ed25519",
            Self::EcdsaP256Sha256 => "ecdsa-p256-sha256",
            Self::RsaV15Sha256 => "rsa-v1_5-sha256",
        }
    }

    pub(crate) fn algorithm(self) -> ProofAlgorithm {
        match self {
            Self::HmacSha256 => ProofAlgorithm::Hmac(HmacAlgorithm::Sha256),
            Self::Ed25519 => ProofAlgorithm::Ed25519,
            Self::EcdsaP256Sha256 => ProofAlgorithm::EcdsaP256Fixed,
            Self::RsaV15Sha256 => ProofAlgorithm::RsaSha256,
        }
    }

    /// The key that a secret's text stands for: a shared one, or a public one in PEM or base64.
    pub(crate) fn key(self, secret: &Secret, form: SecretForm) -> Option<Vec<u8>> {
        let text = secret.expose();
        if self == Self::HmacSha256 && form == SecretForm::Utf8 {
            return Some(text.as_bytes().to_vec()).filter(|key| !key.is_empty());
        }
        let lines = text.lines().map(str::trim).filter(|line| !line.starts_with("-----"));
        let bytes = Encoding::Base64.decode(&lines.collect::<String>())?;
        let key = match self {
            Self::HmacSha256 => bytes,
            Self::Ed25519 => bytes.strip_prefix(&ED25519_SPKI).unwrap_or(&bytes).to_vec(),
            Self::EcdsaP256Sha256 => p256_point_from_spki(&bytes)?.to_vec(),
            Self::RsaV15Sha256 => rsa_key_from_spki(&bytes)?.to_vec(),
        };
        Some(key).filter(|key| self.algorithm().accepts_key(key))
    }
}
