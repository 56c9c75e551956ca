//! What a token says, and the rules that it must satisfy.

use std::time::Duration;

use serde_json::{Map, Value};

use super::JwtAlgorithm;
use crate::clock::Timestamp;
use crate::keys::Jwk;
use crate::verify_error::VerifyError;

/// Largest time in a token, in seconds from 1970 either way. Far beyond any date, and exact as a
/// floating-point number.
const MAX_TIME_SECONDS: f64 = 1e15;

/// What a token must satisfy to be accepted. A rule that is not set is not checked, so set at least
/// the issuer and the audience: without an audience, a token that the issuer made for another of
/// its customers is accepted (RFC 8725, section 3.9).
///
/// ```
/// use std::time::Duration;
///
/// use hookward_core::keys::jwt::{JwtAlgorithm, TokenRules};
///
/// let rules = TokenRules::new([JwtAlgorithm::Rs256, JwtAlgorithm::Es256])
///     .issuers(["https://login.example.com/"])
///     .audiences(["6ba7b810-9dad-11d1-80b4-00c04fd430c8"])
///     .require_expiry()
///     .expiry_leeway(Duration::from_secs(30))
///     .max_age(Some(Duration::from_secs(3600)));
/// # let _ = rules;
/// ```
#[derive(Debug, Clone)]
pub struct TokenRules {
    algorithms: Vec<JwtAlgorithm>,
    /// Empty: every issuer is accepted.
    issuers: Vec<String>,
    /// Empty: every audience is accepted.
    audiences: Vec<String>,
    expiry_required: bool,
    expiry_leeway: Duration,
    future_leeway: Duration,
    max_age: Option<Duration>,
    key_filter: Option<fn(&Jwk, Timestamp) -> bool>,
}

impl TokenRules {
    /// Rules that allow tokens signed with these algorithms. Without an algorithm, no token is
    /// accepted.
    pub fn new(algorithms: impl IntoIterator<Item = JwtAlgorithm>) -> Self {
        Self {
            algorithms: algorithms.into_iter().collect(),
            issuers: Vec::new(),
            audiences: Vec::new(),
            expiry_required: false,
            expiry_leeway: Duration::ZERO,
            future_leeway: Duration::ZERO,
            max_age: None,
            key_filter: None,
        }
    }

    /// Demands that `iss` (RFC 7519, section 4.1.1) is one of these.
    #[must_use]
    pub fn issuers<S: Into<String>>(mut self, issuers: impl IntoIterator<Item = S>) -> Self {
        self.issuers = issuers.into_iter().map(Into::into).collect();
        self
    }

    /// Demands that `aud` (RFC 7519, section 4.1.3) is one of these, or a list that contains one.
    #[must_use]
    pub fn audiences<S: Into<String>>(mut self, audiences: impl IntoIterator<Item = S>) -> Self {
        self.audiences = audiences.into_iter().map(Into::into).collect();
        self
    }

    /// Rejects a token without `exp` (RFC 7519, section 4.1.4). An `exp` that is there is always
    /// checked.
    #[must_use]
    pub fn require_expiry(mut self) -> Self {
        self.expiry_required = true;
        self
    }

    /// Accepts a token until this long after its `exp`. Zero at first.
    #[must_use]
    pub fn expiry_leeway(mut self, leeway: Duration) -> Self {
        self.expiry_leeway = leeway;
        self
    }

    /// Accepts `iat` and `nbf` (RFC 7519, sections 4.1.5 and 4.1.6) up to this far in the future.
    /// Zero at first.
    #[must_use]
    pub fn future_leeway(mut self, leeway: Duration) -> Self {
        self.future_leeway = leeway;
        self
    }

    /// Demands an `iat` that is at most this long ago.
    #[must_use]
    pub fn max_age(mut self, age: Option<Duration>) -> Self {
        self.max_age = age;
        self
    }

    /// Uses only the keys for which `is_usable(key, now)` holds, for services that mark expired
    /// keys in a member of their own.
    #[must_use]
    pub fn key_filter(mut self, is_usable: fn(&Jwk, Timestamp) -> bool) -> Self {
        self.key_filter = Some(is_usable);
        self
    }

    pub(super) fn allows(&self, algorithm: JwtAlgorithm) -> bool {
        self.algorithms.contains(&algorithm)
    }

    pub(super) fn is_usable(&self, jwk: &Jwk, now: Timestamp) -> bool {
        self.key_filter.is_none_or(|is_usable| is_usable(jwk, now))
    }
}

/// The claims of a token whose signature is verified, by their names in the payload (RFC 7519,
/// section 4). What they say is checked by [`Claims::check`] and, where a sender has claims of its
/// own, by its provider.
#[derive(Debug, Clone)]
pub struct Claims(Map<String, Value>);

impl Claims {
    pub(super) fn new(claims: Map<String, Value>) -> Self {
        Self(claims)
    }

    /// The value of a claim; `None` where the token does not have it.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// The value of a claim that is a string and not empty.
    pub fn non_empty_str(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())
    }

    /// Whether a claim is this string, or a list that contains it.
    pub fn contains(&self, name: &str, wanted: &str) -> bool {
        match self.0.get(name) {
            Some(Value::String(text)) => text == wanted,
            Some(Value::Array(list)) => list.iter().any(|item| item == wanted),
            _ => false,
        }
    }

    /// Checks issuer, audience and times against the rules.
    ///
    /// # Errors
    /// [`VerifyError::TimestampTooOld`] and [`VerifyError::TimestampInFuture`] for the times;
    /// [`VerifyError::InvalidClaim`] for another issuer or audience, and for a missing claim that
    /// the rules demand; [`VerifyError::InvalidFormat`] for a time that is not a number.
    pub fn check(&self, rules: &TokenRules, now: Timestamp) -> Result<(), VerifyError> {
        let is_one_of = |name: &str, allowed: &[String]| {
            allowed.is_empty() || allowed.iter().any(|wanted| self.contains(name, wanted))
        };
        // RFC 7519 has `iss` as one string; a list could name the wanted issuer beside the real
        // one.
        let issuer_is_text = self.0.get("iss").is_none_or(Value::is_string);
        if !issuer_is_text || !is_one_of("iss", &rules.issuers) {
            return Err(VerifyError::invalid_claim(
                "the token's issuer (`iss`) is not the one that is configured",
            ));
        }
        if !is_one_of("aud", &rules.audiences) {
            return Err(VerifyError::invalid_claim(
                "the token's audience (`aud`) is not the one that is configured",
            ));
        }
        let issued = self.numeric_date("iat")?;
        // Ages count by whole seconds, as in `VerifyCx::check_time`.
        let whole_seconds = |later: Timestamp, earlier: Timestamp| {
            let seconds = later.as_secs().saturating_sub(earlier.as_secs());
            Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
        };
        for start in [issued, self.numeric_date("nbf")?].into_iter().flatten() {
            if whole_seconds(start, now) > rules.future_leeway {
                let (ahead, tolerance) = (start.since(now), rules.future_leeway);
                return Err(VerifyError::TimestampInFuture { ahead, tolerance });
            }
        }
        // "On or after" the expiry a token must be rejected (RFC 7519, section 4.1.4), hence `>=`.
        match self.numeric_date("exp")? {
            Some(end) if now >= end.plus(rules.expiry_leeway) => {
                let (age, tolerance) = (now.since(end), rules.expiry_leeway);
                return Err(VerifyError::TimestampTooOld { age, tolerance });
            }
            None if rules.expiry_required => {
                return Err(VerifyError::invalid_claim("the token has no expiry (`exp`)"));
            }
            _ => {}
        }
        match (rules.max_age, issued) {
            (Some(_), None) => {
                Err(VerifyError::invalid_claim("the token has no time of issue (`iat`)"))
            }
            (Some(tolerance), Some(issued)) if whole_seconds(now, issued) > tolerance => {
                Err(VerifyError::TimestampTooOld { age: now.since(issued), tolerance })
            }
            _ => Ok(()),
        }
    }

    /// A `NumericDate` (RFC 7519, section 2): seconds since 1970, which may have a fraction.
    fn numeric_date(&self, name: &str) -> Result<Option<Timestamp>, VerifyError> {
        let Some(value) = self.0.get(name) else { return Ok(None) };
        let seconds = value.as_i64().or_else(|| {
            let seconds = value.as_f64()?.floor();
            #[expect(clippy::cast_possible_truncation, reason = "bounded just before")]
            (seconds.abs() < MAX_TIME_SECONDS).then_some(seconds as i64)
        });
        let time = seconds.map(Timestamp::from_secs);
        time.map(Some).ok_or_else(|| {
            VerifyError::invalid_format(format!("the token's `{name}` is not a number of seconds"))
        })
    }
}
