//! JSON Web Tokens that are signed with a private key: RS256 and ES256, and nothing else. Which of
//! them a token may have is said by the key it names and by the caller, never by the token alone;
//! keys and addresses in a token's header are never looked at. Called by the providers whose
//! senders present tokens.

use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use serde_json::{Map, Value};

use super::{Jwk, Jwks, KeyDocument, KeyRequest, PublicKey};
use crate::clock::Timestamp;
use crate::crypto::{Encoding, ProofAlgorithm};
use crate::json::parse_strict;
use crate::provider::VerifyCx;
use crate::verify_error::VerifyError;

/// The longest token, and the longest header in one, in characters.
const MAX_TOKEN: usize = 16 * 1024;
const MAX_HEADER: usize = 4 * 1024;
/// The longest name of a key.
const MAX_KID: usize = 256;
/// How many keys of one name are tried.
const MAX_CANDIDATES: usize = 8;

/// How a token may be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JwtAlgorithm {
    /// RSA, PKCS#1 v1.5, SHA-256.
    Rs256,
    /// ECDSA over P-256 with SHA-256.
    Es256,
}

/// What a token must say. Everything that is left out is not asked for.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// Allowed ways to sign; none: no token is right.
    pub algorithms: Vec<JwtAlgorithm>,
    /// `iss` must be one of these.
    pub issuers: Vec<String>,
    /// `aud` must be, or hold, one of these.
    pub audiences: Vec<String>,
    /// Whether a token without `exp` is refused.
    pub expires: bool,
    /// How long after its `exp` a token is still taken.
    pub grace: Duration,
    /// How far `iat` and `nbf` may be ahead.
    pub ahead: Duration,
    /// `iat` must be there, and at most this long ago.
    pub max_age: Option<Duration>,
    /// Which of the keys may be used at a moment, where their owner says that in a way of its own.
    pub usable: Option<fn(&Jwk, Timestamp) -> bool>,
}

/// A token as it came: well-formed, and not believed yet.
#[derive(Debug)]
pub struct Token<'a> {
    alg: JwtAlgorithm,
    kid: Option<String>,
    signed: &'a str,
    payload: &'a str,
    signature: &'a str,
}

/// What a genuine token says.
#[derive(Debug, Clone)]
pub struct Claims(Map<String, Value>);

/// Proves a token with the keys of this document: if none of them is the one that it names, a newer
/// copy is asked for once. Then its times, issuer and audience are judged.
///
/// # Errors
/// As [`Token::parse`], [`Token::prove`] and [`Claims::check`]; [`VerifyError::KeyUnavailable`] where
/// the document cannot be had.
pub async fn verify(
    token: &str,
    keys: &KeyRequest,
    rules: &Rules,
    cx: &VerifyCx<'_>,
) -> Result<Claims, VerifyError> {
    let token = Token::parse(token)?;
    if !rules.algorithms.contains(&token.alg) {
        return Err(VerifyError::invalid_format(
            "the token is signed in a way that is not allowed here",
        ));
    }
    let usable = |document: &KeyDocument| {
        let mut set = Jwks::parse(&document.bytes)?;
        set.0.retain(|jwk| rules.usable.is_none_or(|usable| usable(jwk, cx.now)));
        Ok::<_, VerifyError>(set)
    };
    let document = cx.keys.fetch(keys).await?;
    let mut set = usable(&document)?;
    if !token.is_known_to(&set) && !document.trusted_offline {
        set = usable(&cx.keys.fetch(&keys.newer_than(cx.now)).await?)?;
    }
    let claims = token.prove(&set)?;
    claims.check(rules, cx.now)?;
    Ok(claims)
}

/// The token of an `Authorization: Bearer` header.
///
/// # Errors
/// [`VerifyError::InvalidFormat`] for any other way to authorize.
pub fn bearer_token(authorization: &str) -> Result<&str, VerifyError> {
    let (scheme, token) = authorization.split_once(' ').unwrap_or((authorization, ""));
    let token = token.trim_matches(' ');
    if scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() {
        return Ok(token);
    }
    Err(VerifyError::invalid_format("the header Authorization holds no Bearer token"))
}

impl<'a> Token<'a> {
    /// Takes a compact token apart and reads its header, strictly. Nothing is proven by this.
    ///
    /// # Errors
    /// [`VerifyError::InvalidFormat`].
    pub fn parse(text: &'a str) -> Result<Self, VerifyError> {
        let wrong = |what: &'static str| VerifyError::invalid_format(what);
        let form = || wrong("what should be a token is none");
        if text.len() > MAX_TOKEN {
            return Err(wrong("the token is longer than 16 KiB"));
        }
        let (signed, signature) = text.rsplit_once('.').ok_or_else(form)?;
        let (header, payload) = signed.split_once('.').ok_or_else(form)?;
        if payload.contains('.') || payload.is_empty() || header.len() > MAX_HEADER {
            return Err(form());
        }
        let header = object(header).ok_or_else(form)?;
        // Extensions that must be understood: none is.
        if header.contains_key("crit") || header.contains_key("b64") {
            return Err(wrong("the token's header asks for extensions"));
        }
        let alg = match header.get("alg").and_then(Value::as_str) {
            Some("RS256") => JwtAlgorithm::Rs256,
            Some("ES256") => JwtAlgorithm::Es256,
            _ => return Err(wrong("the token is signed in a way that is not allowed here")),
        };
        let kid = match header.get("kid") {
            None => None,
            Some(Value::String(kid)) if (1..=MAX_KID).contains(&kid.len()) => Some(kid.clone()),
            Some(_) => return Err(wrong("the token's `kid` is no name of a key")),
        };
        Ok(Self { alg, kid, signed, payload, signature })
    }

    /// How it says it is signed.
    pub fn alg(&self) -> JwtAlgorithm {
        self.alg
    }

    /// The name of the key that it says it is signed with. Choose a key by it, and nothing else.
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// Whether the set holds a key that may have signed this.
    pub fn is_known_to(&self, set: &Jwks) -> bool {
        self.candidates(set).next().is_some()
    }

    fn candidates<'k>(&'k self, set: &'k Jwks) -> impl Iterator<Item = &'k Jwk> {
        let fits = move |jwk: &&Jwk| match (self.alg, &jwk.key) {
            (JwtAlgorithm::Rs256, PublicKey::Rsa(_))
            | (JwtAlgorithm::Es256, PublicKey::P256(_)) => true,
            (JwtAlgorithm::Rs256, PublicKey::P256(_))
            | (JwtAlgorithm::Es256, PublicKey::Rsa(_)) => false,
        };
        set.candidates(self.kid(), self.alg.name()).filter(fits)
    }

    /// What it says, if a key of the set signed it.
    ///
    /// # Errors
    /// [`VerifyError::InvalidSignature`], or [`VerifyError::InvalidFormat`] where what was signed is
    /// no object of JSON.
    pub fn prove(&self, set: &Jwks) -> Result<Claims, VerifyError> {
        let signs = |jwk: &Jwk| {
            let alg = match self.alg {
                JwtAlgorithm::Rs256 => ProofAlgorithm::RsaSha256,
                JwtAlgorithm::Es256 => ProofAlgorithm::EcdsaP256Fixed,
            };
            jwk.key.verify(alg, self.signed.as_bytes(), self.signature, Encoding::Base64url)
        };
        let mut found = Err(VerifyError::InvalidSignature);
        for jwk in self.candidates(set).take(MAX_CANDIDATES) {
            found = signs(jwk);
            if found.is_ok() {
                break;
            }
        }
        found?;
        let claims = object(self.payload);
        claims.map(Claims).ok_or_else(|| VerifyError::invalid_format("the token holds no claims"))
    }
}

impl JwtAlgorithm {
    fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
        }
    }
}

impl Claims {
    /// A claim.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// A claim that is a text and not empty.
    pub fn non_empty_str(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())
    }

    /// Whether a claim is this text, or a list that holds it.
    pub fn contains(&self, name: &str, wanted: &str) -> bool {
        match self.0.get(name) {
            Some(Value::String(text)) => text == wanted,
            Some(Value::Array(list)) => list.iter().any(|item| item == wanted),
            _ => false,
        }
    }

    /// Judges times, issuer and audience.
    ///
    /// # Errors
    /// [`VerifyError::TimestampTooOld`] and [`VerifyError::TimestampInFuture`] for its times,
    /// [`VerifyError::InvalidClaim`] for what else it says.
    pub fn check(&self, rules: &Rules, now: Timestamp) -> Result<(), VerifyError> {
        let any = |name: &str, allowed: &[String]| {
            allowed.is_empty() || allowed.iter().any(|wanted| self.contains(name, wanted))
        };
        if !self.0.get("iss").is_none_or(Value::is_string) || !any("iss", &rules.issuers) {
            return Err(VerifyError::invalid_claim("the token is by another issuer"));
        }
        if !any("aud", &rules.audiences) {
            return Err(VerifyError::invalid_claim("the token is for another audience"));
        }
        let issued = self.time("iat")?;
        for start in [issued, self.time("nbf")?].into_iter().flatten() {
            if start > now.plus(rules.ahead) {
                let (ahead, tolerance) = (start.since(now), rules.ahead);
                return Err(VerifyError::TimestampInFuture { ahead, tolerance });
            }
        }
        match self.time("exp")? {
            Some(end) if now >= end.plus(rules.grace) => {
                let (age, tolerance) = (now.since(end), rules.grace);
                return Err(VerifyError::TimestampTooOld { age, tolerance });
            }
            None if rules.expires => {
                return Err(VerifyError::invalid_claim("the token never expires"));
            }
            _ => {}
        }
        match (rules.max_age, issued) {
            (Some(_), None) => {
                Err(VerifyError::invalid_claim("the token does not say when it was issued"))
            }
            (Some(tolerance), Some(issued)) if now.since(issued) > tolerance => {
                Err(VerifyError::TimestampTooOld { age: now.since(issued), tolerance })
            }
            _ => Ok(()),
        }
    }

    /// Seconds since 1970, which may have a fraction.
    fn time(&self, name: &str) -> Result<Option<Timestamp>, VerifyError> {
        let Some(value) = self.0.get(name) else { return Ok(None) };
        let seconds = value.as_i64().or_else(|| {
            let seconds = value.as_f64()?.floor();
            // Far beyond any date, and exact in both types.
            #[expect(clippy::cast_possible_truncation, reason = "bounded just before")]
            (seconds.abs() < 1e15).then_some(seconds as i64)
        });
        let time = seconds.map(Timestamp::from_secs);
        time.map(Some)
            .ok_or_else(|| VerifyError::invalid_format(format!("the token's `{name}` is no time")))
    }
}

/// A part of a token as an object: canonical base64url of strict JSON.
fn object(part: &str) -> Option<Map<String, Value>> {
    match parse_strict(&BASE64URL_NOPAD.decode(part.as_bytes()).ok()?) {
        Ok(Value::Object(members)) => Some(members),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
