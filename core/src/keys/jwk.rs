//! Public keys, and the JSON that services publish them in: a set, one key in a wrapper, or one key
//! alone. What is no RSA or P-256 key for signatures is passed over. Called by [`super::jwt`].

use data_encoding::BASE64URL_NOPAD;
use serde_json::{Map, Value};

use crate::crypto::{
    Encoding, ProofAlgorithm, Tag, p256_point_from_spki, rsa_key_from_components, rsa_key_from_spki,
};
use crate::json::parse_strict;
use crate::verify_error::VerifyError;

/// The most keys that are looked at in a set.
const MAX_KEYS: usize = 100;

/// A public key that signatures are verified with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublicKey {
    /// A PKCS#1 `RSAPublicKey` of 2048 to 8192 bits.
    Rsa(Vec<u8>),
    /// An uncompressed point of P-256.
    P256(Vec<u8>),
}

impl PublicKey {
    /// The key in a SubjectPublicKeyInfo; `None` for kinds that are not verified with.
    pub fn from_spki(spki: &[u8]) -> Option<Self> {
        let rsa = rsa_key_from_spki(spki).map(|key| Self::Rsa(key.to_vec()));
        rsa.or_else(|| p256_point_from_spki(spki).map(|point| Self::P256(point.to_vec())))
    }

    /// Whether this base64 text is the key owner's signature of the message. An algorithm for
    /// another kind of key never verifies anything.
    ///
    /// # Errors
    /// [`VerifyError::InvalidFormat`] where the text is no signature, else
    /// [`VerifyError::InvalidSignature`].
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
            VerifyError::invalid_format("the signature is not of the expected form")
        })?;
        let right = algorithm.matches_any(key, &[message], &[tag]);
        if right { Ok(()) } else { Err(VerifyError::InvalidSignature) }
    }
}

/// A key with what its owner says about it.
#[derive(Debug, Clone)]
pub struct Jwk {
    /// Its name.
    pub kid: Option<String>,
    /// The one algorithm that it is for, where it says so.
    pub alg: Option<String>,
    /// The key.
    pub key: PublicKey,
    /// Every member, for what one sender alone has there.
    pub members: Map<String, Value>,
}

/// The usable keys of a document.
#[derive(Debug, Clone)]
pub struct Jwks(pub Vec<Jwk>);

impl Jwks {
    /// Reads `{"keys": […]}`, `{"key": {…}}`, a key alone or a list of keys alone.
    ///
    /// # Errors
    /// [`VerifyError::KeyUnavailable`] where the document is none of these.
    pub fn parse(document: &[u8]) -> Result<Self, VerifyError> {
        let none =
            || VerifyError::key_unavailable("what was fetched is no JSON Web Key or set of them");
        let keys = match parse_strict(document) {
            Ok(Value::Array(keys)) => keys,
            Ok(Value::Object(mut members)) => {
                match (members.remove("keys"), members.remove("key")) {
                    (Some(Value::Array(keys)), _) => keys,
                    (None, Some(key @ Value::Object(_))) => vec![key],
                    (None, None) if members.contains_key("kty") => vec![Value::Object(members)],
                    _ => return Err(none()),
                }
            }
            _ => return Err(none()),
        };
        let object = |key| if let Value::Object(key) = key { Some(key) } else { None };
        Ok(Self(keys.into_iter().take(MAX_KEYS).filter_map(object).filter_map(Jwk::of).collect()))
    }

    /// The keys that may have signed under this name and algorithm. Without a name all may.
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
    /// `None` for a key of another kind, of another use, or that is no key.
    fn of(members: Map<String, Value>) -> Option<Self> {
        let text = |name: &str| match members.get(name) {
            None | Some(Value::Null) => Some(None),
            Some(Value::String(text)) => Some(Some(text.clone())),
            Some(_) => None,
        };
        let bytes = |name: &str| BASE64URL_NOPAD.decode(text(name)??.as_bytes()).ok();
        let verifies = match members.get("key_ops") {
            None => true,
            Some(Value::Array(ops)) => ops.iter().any(|op| op == "verify"),
            Some(_) => false,
        };
        if !verifies || text("use")?.is_some_and(|own| own != "sig") {
            return None;
        }
        let key = match text("kty")??.as_str() {
            "RSA" => PublicKey::Rsa(rsa_key_from_components(&bytes("n")?, &bytes("e")?)?),
            "EC" if text("crv")?? == "P-256" => {
                let point = [&[4], bytes("x")?.as_slice(), bytes("y")?.as_slice()].concat();
                let whole =
                    bytes("x")?.len() == 32 && ProofAlgorithm::EcdsaP256Der.accepts_key(&point);
                PublicKey::P256(whole.then_some(point)?)
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
    fn a_set_a_wrapped_key_and_a_bare_one_are_read() {
        assert_eq!(count(EC), Some(1));
        assert_eq!(count(&format!("{{\"key\":{EC},\"request_id\":\"x\"}}")), Some(1));
        assert_eq!(count(&format!("{{\"keys\":[{EC},{EC}]}}")), Some(2));
        assert_eq!((count(&format!("[{EC},{EC}]")), count("[]")), (Some(2), Some(0)));
        for none in ["", "7", "{}", "null", "{\"keys\":{}}", "{\"key\":[]}", "{\"key\":\"x\"}"] {
            assert_eq!(count(none), None, "{none}");
        }
        assert_eq!(count(&format!("{{\"keys\":[{EC}],\"keys\":[]}}")), None, "twice");
    }

    #[test]
    fn keys_of_other_kinds_and_uses_are_passed_over() {
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
    fn a_key_is_asked_for_by_name_and_only_for_its_own_algorithm() {
        let set = Jwks::parse(EC.as_bytes()).unwrap();
        assert_eq!(set.candidates(Some("a"), "ES256").count(), 1);
        assert_eq!(set.candidates(None, "ES256").count(), 1);
        assert_eq!(set.candidates(Some("b"), "ES256").count(), 0);
        assert_eq!(set.candidates(Some("a"), "RS256").count(), 0);
    }
}
