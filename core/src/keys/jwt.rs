//! JSON Web Tokens (RFC 7519) that a sender signs with a private key: RS256 and ES256 only. Called
//! by providers whose senders present tokens.
//!
//! The caller's [`TokenRules`] and the key decide the algorithm, never the token alone (RFC 8725,
//! section 3.1). Keys and URLs in a token's header (`jwk`, `jku`, `x5u`) are ignored.
//!
//! ```
//! use std::time::Duration;
//!
//! use hookward_core::keys::jwt::{JwtAlgorithm, Token, TokenRules, bearer_token};
//!
//! // Proves with `jwt::verify(token, &keys, &rules, cx).await`.
//! let rules = TokenRules::new([JwtAlgorithm::Rs256])
//!     .issuers(["https://accounts.example.com"])
//!     .audiences(["https://hooks.example.com/in"])
//!     .require_expiry()
//!     .future_leeway(Duration::from_secs(60));
//! # let _ = rules;
//!
//! // Before the body is read: reject a head whose token cannot be right.
//! let header = "Bearer eyJhbGciOiJSUzI1NiIsImtpZCI6ImsxIn0.e30.c2lnbmF0dXJl";
//! let token = Token::parse(bearer_token(header)?)?;
//! assert_eq!((token.algorithm(), token.kid()), (JwtAlgorithm::Rs256, Some("k1")));
//! # Ok::<(), hookward_core::VerifyError>(())
//! ```

mod claims;

use data_encoding::BASE64URL_NOPAD;
use serde_json::{Map, Value};

pub use claims::{Claims, TokenRules};

use super::{Jwk, Jwks, PublicKey};
use crate::crypto::{Encoding, ProofAlgorithm};
use crate::json::parse_strict;
use crate::key_source::{KeyDocument, KeyRequest};
use crate::verification::VerifyCx;
use crate::verify_error::VerifyError;

/// Longest token, in bytes.
const MAX_TOKEN_BYTES: usize = 16 * 1024;
/// Longest encoded header of a token, in bytes.
const MAX_TOKEN_HEADER_BYTES: usize = 4 * 1024;
/// Longest key id, in bytes.
const MAX_KID_BYTES: usize = 256;
/// Most keys that one token is verified with; bounds the work where many keys have one id.
const MAX_CANDIDATE_KEYS: usize = 8;

/// Signature algorithms of tokens (RFC 7518, section 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JwtAlgorithm {
    /// RSA PKCS#1 v1.5 with SHA-256.
    Rs256,
    /// ECDSA over P-256 with SHA-256.
    Es256,
}

impl JwtAlgorithm {
    /// The name in the header's `alg`.
    fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
        }
    }

    fn proof_algorithm(self) -> ProofAlgorithm {
        match self {
            Self::Rs256 => ProofAlgorithm::RsaSha256,
            Self::Es256 => ProofAlgorithm::EcdsaP256Fixed,
        }
    }

    fn is_for_key(self, key: &PublicKey) -> bool {
        matches!((self, key), (Self::Rs256, PublicKey::Rsa(_)) | (Self::Es256, PublicKey::P256(_)))
    }
}

/// A parsed token (a JWS in compact form, RFC 7515, section 7.1). Nothing in it is proven until
/// [`Token::verify_signature`].
#[derive(Debug)]
pub struct Token<'a> {
    alg: JwtAlgorithm,
    kid: Option<String>,
    /// Header and payload, encoded, with the dot between them: what the signature covers.
    signed: &'a str,
    payload: &'a str,
    signature: &'a str,
}

/// Verifies a token: its signature under a key of the requested document, then its claims against
/// the rules. Where the document has no key that the token names, a newer copy is fetched once; where
/// it was just fetched, the key is unavailable.
///
/// # Errors
/// Those of [`Token::parse`], [`Token::verify_signature`] and [`Claims::check`];
/// [`VerifyError::KeyUnavailable`] where the document cannot be fetched or read.
pub async fn verify(
    token: &str,
    keys: &KeyRequest,
    rules: &TokenRules,
    cx: &VerifyCx<'_>,
) -> Result<Claims, VerifyError> {
    let token = Token::parse(token)?;
    if !rules.allows(token.alg) {
        return Err(VerifyError::invalid_format(format!(
            "the token is signed with {}, which this source does not allow",
            token.alg.name()
        )));
    }
    let usable_keys = |document: &KeyDocument| {
        let mut set = Jwks::parse(&document.bytes)?;
        set.0.retain(|jwk| rules.is_usable(jwk, cx.now));
        Ok::<_, VerifyError>(set)
    };
    let document = cx.keys.fetch(keys).await?;
    let mut set = usable_keys(&document)?;
    // The sender may have rotated its keys since the document was fetched.
    if !token.has_candidate_in(&set) && !document.trusted_offline {
        let newer = cx.keys.fetch(&keys.newer_than(cx.now)).await?;
        set = usable_keys(&newer)?;
        // The document was fetched a moment ago and is not fetched again so soon. Its owner may have
        // rotated the keys since: a sender that gets 401 might never try again.
        if !token.has_candidate_in(&set) && newer.fetched_at < cx.now {
            return Err(VerifyError::key_unavailable(
                "its document, which was just fetched, does not have the key that the token names",
            ));
        }
    }
    let claims = token.verify_signature(&set)?;
    claims.check(rules, cx.now)?;
    Ok(claims)
}

/// The token of an `Authorization: Bearer …` header (RFC 6750, section 2.1). The scheme's name is
/// read in upper or lower case.
///
/// # Errors
/// [`VerifyError::InvalidFormat`] for another scheme and for an empty token.
pub fn bearer_token(authorization: &str) -> Result<&str, VerifyError> {
    let (scheme, token) = authorization.split_once(' ').unwrap_or((authorization, ""));
    let token = token.trim_matches(' ');
    if scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() {
        return Ok(token);
    }
    Err(VerifyError::invalid_format("the header Authorization does not hold a Bearer token"))
}

impl<'a> Token<'a> {
    /// Splits a compact token and reads its header as strict JSON. Proves nothing.
    ///
    /// # Errors
    /// [`VerifyError::InvalidFormat`] where the text is not a token, is over 16 KiB, names an
    /// algorithm other than RS256 and ES256, or demands an extension (`crit` of RFC 7515, `b64` of
    /// RFC 7797).
    pub fn parse(text: &'a str) -> Result<Self, VerifyError> {
        let invalid = |what: &'static str| VerifyError::invalid_format(what);
        let not_a_token = || invalid("the text is not a JSON Web Token");
        if text.len() > MAX_TOKEN_BYTES {
            return Err(invalid("the token is longer than 16 KiB"));
        }
        let (signed, signature) = text.rsplit_once('.').ok_or_else(not_a_token)?;
        let (header, payload) = signed.split_once('.').ok_or_else(not_a_token)?;
        if payload.contains('.') || payload.is_empty() || header.len() > MAX_TOKEN_HEADER_BYTES {
            return Err(not_a_token());
        }
        let header = decode_object(header).ok_or_else(not_a_token)?;
        // Extensions that a reader must understand or reject the token (RFC 7515, section 4.1.11).
        if header.contains_key("crit") || header.contains_key("b64") {
            return Err(invalid("the token's header demands extensions, and none is supported"));
        }
        let alg = match header.get("alg").and_then(Value::as_str) {
            Some("RS256") => JwtAlgorithm::Rs256,
            Some("ES256") => JwtAlgorithm::Es256,
            _ => {
                return Err(invalid(
                    "the token is signed with an unsupported algorithm; RS256 and ES256 are supported",
                ));
            }
        };
        let kid = match header.get("kid") {
            None => None,
            Some(Value::String(kid)) if (1..=MAX_KID_BYTES).contains(&kid.len()) => {
                Some(kid.clone())
            }
            Some(_) => {
                return Err(invalid("the token's `kid` is not a string of 1 to 256 bytes"));
            }
        };
        Ok(Self { alg, kid, signed, payload, signature })
    }

    /// The algorithm that the header names.
    pub fn algorithm(&self) -> JwtAlgorithm {
        self.alg
    }

    /// The key id that the header names. Unproven: use it to choose a key and for nothing else.
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// Whether the set holds a key that may have signed this token.
    pub fn has_candidate_in(&self, set: &Jwks) -> bool {
        self.candidates(set).next().is_some()
    }

    fn candidates<'k>(&'k self, set: &'k Jwks) -> impl Iterator<Item = &'k Jwk> {
        set.candidates(self.kid(), self.alg.name()).filter(|jwk| self.alg.is_for_key(&jwk.key))
    }

    /// Verifies the signature with the keys of the set, and returns the proven claims. Their times,
    /// issuer and audience are not checked yet: see [`Claims::check`].
    ///
    /// # Errors
    /// [`VerifyError::InvalidSignature`] where no key of the set signed the token;
    /// [`VerifyError::InvalidFormat`] where the signature has a wrong length or the payload is not
    /// a JSON object.
    pub fn verify_signature(&self, set: &Jwks) -> Result<Claims, VerifyError> {
        let algorithm = self.alg.proof_algorithm();
        let mut verified = Err(VerifyError::InvalidSignature);
        for jwk in self.candidates(set).take(MAX_CANDIDATE_KEYS) {
            let message = self.signed.as_bytes();
            verified = jwk.key.verify(algorithm, message, self.signature, Encoding::Base64url);
            if verified.is_ok() {
                break;
            }
        }
        verified?;
        let claims = decode_object(self.payload);
        claims
            .map(Claims::new)
            .ok_or_else(|| VerifyError::invalid_format("the token's payload is not a JSON object"))
    }
}

/// Decodes a part of a token: canonical base64url of a strict JSON object.
fn decode_object(part: &str) -> Option<Map<String, Value>> {
    match parse_strict(&BASE64URL_NOPAD.decode(part.as_bytes()).ok()?) {
        Ok(Value::Object(members)) => Some(members),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
