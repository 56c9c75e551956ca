//! JSON Web Keys (RFC 7517) and the documents that services publish them in. Called by
//! [`super::jwt`] and by providers.

use data_encoding::BASE64URL_NOPAD;
use serde_json::{Map, Value};

use crate::crypto::{
    Encoding, ProofAlgorithm, Tag, p256_point_from_spki, rsa_key_from_components, rsa_key_from_spki,
};
use crate::json::parse_strict;
use crate::verify_error::VerifyError;

/// Most keys that are read from a set; the rest are ignored.
const MAX_KEYS_PER_SET: usize = 100;

/// Length of a coordinate of P-256 in bytes (RFC 7518, section 6.2.1.2).
const P256_COORDINATE_BYTES: usize = 32;

/// A public key that verifies signatures.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PublicKey {
    /// A PKCS#1 `RSAPublicKey` of 2048 to 8192 bits.
    Rsa(Vec<u8>),
    /// An uncompressed point of P-256, 65 bytes.
    P256(Vec<u8>),
}

impl PublicKey {
    /// The key in a SubjectPublicKeyInfo (DER); `None` for a kind of key other than RSA and P-256.
    pub fn from_spki(spki: &[u8]) -> Option<Self> {
        let rsa = rsa_key_from_spki(spki).map(|key| Self::Rsa(key.to_vec()));
        rsa.or_else(|| p256_point_from_spki(spki).map(|point| Self::P256(point.to_vec())))
    }

    /// Verifies that `signature`, written in `encoding`, is the key owner's signature of the
    /// message. An algorithm for another kind of key never verifies.
    ///
    /// # Errors
    /// [`VerifyError::InvalidFormat`] where the text cannot be a signature of this algorithm,
    /// otherwise [`VerifyError::InvalidSignature`].
    pub fn verify(
        &self,
        algorithm: ProofAlgorithm,
        message: &[u8],
        signature: &str,
        encoding: Encoding,
    ) -> Result<(), VerifyError> {
        let key = match (self, algorithm) {
            (Self::Rsa(key), ProofAlgorithm::RsaSha256 | ProofAlgorithm::RsaSha1)
            | (Self::P256(key), ProofAlgorithm::EcdsaP256Der | ProofAlgorithm::EcdsaP256Fixed) => {
                key
            }
            _ => return Err(VerifyError::InvalidSignature),
        };
        let tag = Tag::decode(signature, encoding, algorithm.tag_len()).ok_or_else(|| {
            VerifyError::invalid_format(
                "the signature has a wrong encoding or length for its algorithm",
            )
        })?;
        let right = algorithm.matches_any(key, &[message], &[tag]);
        if right { Ok(()) } else { Err(VerifyError::InvalidSignature) }
    }
}

/// A JSON Web Key (RFC 7517, section 4) that verifies signatures.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Jwk {
    /// The key's id (`kid`).
    pub kid: Option<String>,
    /// The one algorithm that the key is for (`alg`); `None` where its owner does not say.
    pub alg: Option<String>,
    /// The key itself.
    pub key: PublicKey,
    /// All members, for those that are particular to one sender.
    pub members: Map<String, Value>,
}

/// The keys of a document that can verify signatures. Keys of other kinds and uses are skipped.
#[derive(Debug, Clone)]
pub struct Jwks(pub Vec<Jwk>);

impl Jwks {
    /// Reads a JWK set `{"keys": […]}` (RFC 7517, section 5), a wrapped key `{"key": {…}}`, a bare
    /// key or a bare list of keys. Reads the first 100 keys.
    ///
    /// # Errors
    /// [`VerifyError::KeyUnavailable`] where the document is something else.
    ///
    /// ```
    /// use hookward_core::keys::Jwks;
    ///
    /// let document = br#"{"keys": [{
    ///   "kty": "EC", "crv": "P-256", "kid": "2026-01", "alg": "ES256",
    ///   "x": "uk5t50MkKgGRz_D7JJl4w10O9iGqVFtRV7sqEfYP1uM",
    ///   "y": "WQrX6f72-dQ5HTS38-6MSEqo1XQ9uL3QHJe7o_016n8"
    /// }]}"#;
    /// let set = Jwks::parse(document)?;
    /// assert_eq!(set.candidates(Some("2026-01"), "ES256").count(), 1);
    /// assert_eq!(set.candidates(Some("2026-01"), "RS256").count(), 0);
    /// # Ok::<(), hookward_core::VerifyError>(())
    /// ```
    pub fn parse(document: &[u8]) -> Result<Self, VerifyError> {
        let not_jwks = || {
            VerifyError::key_unavailable(
                "the fetched document is neither a JSON Web Key nor a set of them",
            )
        };
        let keys = match parse_strict(document) {
            Ok(Value::Array(keys)) => keys,
            Ok(Value::Object(mut members)) => {
                match (members.remove("keys"), members.remove("key")) {
                    (Some(Value::Array(keys)), _) => keys,
                    (None, Some(key @ Value::Object(_))) => vec![key],
                    (None, None) if members.contains_key("kty") => vec![Value::Object(members)],
                    _ => return Err(not_jwks()),
                }
            }
            _ => return Err(not_jwks()),
        };
        let object = |key| if let Value::Object(key) = key { Some(key) } else { None };
        let keys = keys.into_iter().take(MAX_KEYS_PER_SET).filter_map(object);
        Ok(Self(keys.filter_map(Jwk::from_members).collect()))
    }

    /// The keys that may have signed with this key id and algorithm: the algorithm is the key's own
    /// or the key names none. Without a key id, every key of that algorithm may have.
    pub fn candidates<'a>(
        &'a self,
        kid: Option<&'a str>,
        alg: &'a str,
    ) -> impl Iterator<Item = &'a Jwk> {
        self.0.iter().filter(move |key| {
            (kid.is_none() || key.kid.as_deref() == kid)
                && key.alg.as_deref().is_none_or(|own| own == alg)
        })
    }
}

impl Jwk {
    /// `None` for a key of another kind or use, and for members that are malformed.
    fn from_members(members: Map<String, Value>) -> Option<Self> {
        let text = |name: &str| match members.get(name) {
            None | Some(Value::Null) => Some(None),
            Some(Value::String(text)) => Some(Some(text.clone())),
            Some(_) => None,
        };
        let bytes = |name: &str| BASE64URL_NOPAD.decode(text(name)??.as_bytes()).ok();
        let can_verify = match members.get("key_ops") {
            None => true,
            Some(Value::Array(ops)) => ops.iter().any(|op| op == "verify"),
            Some(_) => false,
        };
        if !can_verify || text("use")?.is_some_and(|own| own != "sig") {
            return None;
        }
        let key = match text("kty")??.as_str() {
            "RSA" => PublicKey::Rsa(rsa_key_from_components(&bytes("n")?, &bytes("e")?)?),
            "EC" if text("crv")?? == "P-256" => {
                let (x, y) = (bytes("x")?, bytes("y")?);
                let point = [&[4], x.as_slice(), y.as_slice()].concat();
                // Both lengths: a short x and a long y would make a point of the right length.
                let complete = x.len() == P256_COORDINATE_BYTES
                    && ProofAlgorithm::EcdsaP256Der.accepts_key(&point);
                PublicKey::P256(complete.then_some(point)?)
            }
            _ => return None,
        };
        Some(Self { kid: text("kid")?, alg: text("alg")?, key, members })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EC: &str = r#"{"kty":"EC","crv":"P-256","kid":"a","use":"sig","alg":"ES256",
        "x":"uk5t50MkKgGRz_D7JJl4w10O9iGqVFtRV7sqEfYP1uM",
        "y":"WQrX6f72-dQ5HTS38-6MSEqo1XQ9uL3QHJe7o_016n8"}"#;

    fn count(document: &str) -> Option<usize> {
        Jwks::parse(document.as_bytes()).ok().map(|set| set.0.len())
    }

    #[test]
    fn a_jwk_set_a_wrapped_key_a_list_and_a_bare_key_are_read() {
        assert_eq!(count(EC), Some(1));
        assert_eq!(count(&format!("{{\"key\":{EC},\"request_id\":\"x\"}}")), Some(1));
        assert_eq!(count(&format!("{{\"keys\":[{EC},{EC}]}}")), Some(2));
        assert_eq!((count(&format!("[{EC},{EC}]")), count("[]")), (Some(2), Some(0)));
        for other in ["", "7", "{}", "null", "{\"keys\":{}}", "{\"key\":[]}", "{\"key\":\"x\"}"] {
            assert_eq!(count(other), None, "{other}");
        }
        assert_eq!(count(&format!("{{\"keys\":[{EC}],\"keys\":[]}}")), None, "twice");
    }

    #[test]
    fn jwks_of_other_kinds_and_uses_are_skipped() {
        let other = |from: &str, to: &str| count(&EC.replace(from, to));
        assert_eq!(other("\"sig\"", "\"enc\""), Some(0));
        assert_eq!(other("\"EC\"", "\"oct\""), Some(0));
        assert_eq!(other("P-256", "P-384"), Some(0));
        assert_eq!(other("\"x\":\"u", "\"x\":\""), Some(0), "a short coordinate");
        assert_eq!(other("\"kid\":\"a\"", "\"kid\":7"), Some(0));
        assert_eq!(other("\"use\":\"sig\"", "\"key_ops\":[\"sign\"]"), Some(0));
        assert_eq!(other("\"use\":\"sig\"", "\"key_ops\":[\"verify\"]"), Some(1));
        let short = r#"{"kty":"RSA","n":"AQAB","e":"AQAB"}"#;
        assert_eq!(count(&format!("{{\"keys\":[1,null,{short},{EC}]}}")), Some(1));
    }

    #[test]
    fn a_jwk_is_a_candidate_for_its_own_id_and_algorithm_alone() {
        let set = Jwks::parse(EC.as_bytes()).unwrap();
        assert_eq!(set.candidates(Some("a"), "ES256").count(), 1);
        assert_eq!(set.candidates(None, "ES256").count(), 1);
        assert_eq!(set.candidates(Some("b"), "ES256").count(), 0);
        assert_eq!(set.candidates(Some("a"), "RS256").count(), 0);
    }
}
