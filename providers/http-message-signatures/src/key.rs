//! Keys and algorithms (RFC 9421, section 6.2). The configuration selects the algorithm. If a
//! request named it, an attacker could select a weaker one, so its `alg` is only compared.

use hookward_core::Secret;
use hookward_core::crypto::{
    Encoding, HmacAlgorithm, ProofAlgorithm, p256_point_from_spki, p384_point_from_spki,
    rsa_key_from_spki,
};
use schemars::JsonSchema;
use serde::Deserialize;

/// DER prefix of the key in a SubjectPublicKeyInfo of Ed25519 (RFC 8410, section 4).
const ED25519_SPKI: [u8; 12] =
    [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// A signature algorithm of RFC 9421.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
pub enum KeyAlgorithm {
    /// HMAC-SHA-256 with a shared secret.
    #[default]
    #[serde(rename = "hmac-sha256")]
    HmacSha256,
    /// Ed25519; the secret is the sender's public key.
    #[serde(rename = "ed25519")]
    Ed25519,
    /// ECDSA over P-256; the secret is the sender's public key.
    #[serde(rename = "ecdsa-p256-sha256")]
    EcdsaP256Sha256,
    /// RSA PKCS #1 v1.5; the secret is the sender's public key.
    #[serde(rename = "rsa-v1_5-sha256")]
    RsaV15Sha256,
    /// RSASSA-PSS with SHA-512; the secret is the sender's public key.
    #[serde(rename = "rsa-pss-sha512")]
    RsaPssSha512,
    /// ECDSA over P-384; the secret is the sender's public key.
    #[serde(rename = "ecdsa-p384-sha384")]
    EcdsaP384Sha384,
}

/// Encoding of a shared secret in the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SecretForm {
    /// The bytes of the text, unchanged.
    #[default]
    Utf8,
    /// The base64 of the bytes.
    Base64,
}

impl KeyAlgorithm {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::HmacSha256 => "hmac-sha256",
            Self::Ed25519 => "ed25519",
            Self::EcdsaP256Sha256 => "ecdsa-p256-sha256",
            Self::RsaV15Sha256 => "rsa-v1_5-sha256",
            Self::RsaPssSha512 => "rsa-pss-sha512",
            Self::EcdsaP384Sha384 => "ecdsa-p384-sha384",
        }
    }

    pub(crate) fn algorithm(self) -> ProofAlgorithm {
        match self {
            Self::HmacSha256 => ProofAlgorithm::Hmac(HmacAlgorithm::Sha256),
            Self::Ed25519 => ProofAlgorithm::Ed25519,
            Self::EcdsaP256Sha256 => ProofAlgorithm::EcdsaP256Fixed,
            Self::RsaV15Sha256 => ProofAlgorithm::RsaSha256,
            Self::RsaPssSha512 => ProofAlgorithm::RsaPssSha512,
            Self::EcdsaP384Sha384 => ProofAlgorithm::EcdsaP384Fixed,
        }
    }

    /// Decodes the key in a secret: a shared key, or a public key in PEM or base64. `None` if the
    /// algorithm does not accept it.
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
            Self::EcdsaP384Sha384 => p384_point_from_spki(&bytes)?.to_vec(),
            Self::RsaV15Sha256 | Self::RsaPssSha512 => rsa_key_from_spki(&bytes)?.to_vec(),
        };
        Some(key).filter(|key| self.algorithm().accepts_key(key))
    }
}
