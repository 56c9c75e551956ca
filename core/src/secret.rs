//! Secrets, several at a time so that they can be rotated. `Debug` never shows a secret, and
//! secrets have no `==`: they are compared in constant time, in [`crate::crypto`] alone.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer};

use crate::clock::Timestamp;

/// A text that must not be shown: `Debug` prints `***`, and the memory is wiped on drop.
///
/// ```
/// use hookward_core::Secret;
/// use hookward_core::crypto::tokens_equal;
///
/// let secret = Secret::new("hunter2");
/// assert_eq!(format!("{secret:?}"), "***");
/// assert!(tokens_equal(b"hunter2", secret.expose().as_bytes()));
/// ```
///
/// Comparing with `==` does not compile, because its time depends on the secret:
///
/// ```compile_fail
/// # use hookward_core::Secret;
/// assert!(Secret::new("a") == Secret::new("a"));
/// ```
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(SecretString::from(text.into()))
    }

    /// The text itself. Use it as the key of a computation or in a comparison in constant time, and
    /// never in a message, a log line or an error.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

/// What secrets begin with at senders that mark them. Those that a version may stand before come as
/// `v1,whsec_…`.
const SECRET_PREFIXES: [&str; 6] = ["whsec_", "whpk_", "whsk_", "sk_", "base64:", "xkeysib-"];

impl Secret {
    /// The secrets in this text, where it holds several that are joined by white space or commas,
    /// as senders show them while one replaces another; otherwise empty. Each of them begins with a
    /// prefix that senders use, so that no single secret is taken apart.
    ///
    /// ```
    /// use hookward_core::Secret;
    ///
    /// let joined = Secret::new("whsec_bmV3 v1,whsec_b2xk");
    /// let parts: Vec<_> = joined.joined_secrets();
    /// assert_eq!(parts.iter().map(Secret::expose).collect::<Vec<_>>(), ["whsec_bmV3", "whsec_b2xk"]);
    /// assert!(Secret::new("v1,whsec_b2xk").joined_secrets().is_empty());
    /// ```
    pub fn joined_secrets(&self) -> Vec<Self> {
        let is_separator = |c: char| c.is_whitespace() || c == ',' || c == ';';
        let is_version = |part: &&str| matches!(*part, "v1" | "v1a");
        let parts: Vec<&str> =
            self.expose().split(is_separator).filter(|p| !p.is_empty()).collect();
        let parts: Vec<&str> = parts.into_iter().filter(|part| !is_version(part)).collect();
        let is_marked = |part: &&str| {
            SECRET_PREFIXES
                .iter()
                .any(|prefix| part.len() > prefix.len() && part.starts_with(prefix))
        };
        match parts.len() > 1 && parts.iter().all(is_marked) {
            true => parts.into_iter().map(Self::new).collect(),
            false => Vec::new(),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d).map(Self::new)
    }
}

/// Marked `writeOnly`, by which diagnostics recognise a value that they must redact.
impl JsonSchema for Secret {
    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "writeOnly": true, "description": "A secret; usually `${VARIABLE}` or `${file:path}`." })
    }
}

/// A secret and the time at which it expires, for rotation.
#[derive(Debug, Clone)]
pub struct TimedSecret {
    /// The secret itself.
    pub secret: Secret,
    /// The secret is no longer accepted at this time and later; `None`: it does not expire.
    pub until: Option<Timestamp>,
}

/// A configured secret is empty. Anyone can compute an HMAC under an empty secret, so none is
/// accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("secret {index} is empty; anyone could sign with an empty secret, so set one")]
pub struct EmptySecret {
    /// Index of the empty secret in the list, from 0.
    pub index: usize,
}

/// All secrets of a source, in the order of the configuration. None is empty.
///
/// ```
/// use hookward_core::{Secret, SecretSet, TimedSecret, Timestamp};
///
/// let expires = Timestamp::from_secs(1_760_000_000);
/// let set = SecretSet::new(vec![
///     TimedSecret { secret: Secret::new("new"), until: None },
///     TimedSecret { secret: Secret::new("old"), until: Some(expires) },
/// ])?;
/// let active: Vec<_> = set.active(expires).iter().map(|(index, _)| index).collect();
/// assert_eq!(active, [0]);
/// # Ok::<(), hookward_core::EmptySecret>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct SecretSet(Vec<TimedSecret>);

impl SecretSet {
    /// A set of these secrets.
    ///
    /// # Errors
    /// [`EmptySecret`] where one of them is empty.
    pub fn new(secrets: Vec<TimedSecret>) -> Result<Self, EmptySecret> {
        match secrets.iter().position(|s| s.secret.expose().is_empty()) {
            Some(index) => Err(EmptySecret { index }),
            None => Ok(Self(secrets)),
        }
    }

    /// A set of secrets that do not expire.
    ///
    /// # Errors
    /// [`EmptySecret`] where one of them is empty.
    pub fn from_texts<S: Into<String>>(
        texts: impl IntoIterator<Item = S>,
    ) -> Result<Self, EmptySecret> {
        let timed = |text: S| TimedSecret { secret: Secret::new(text), until: None };
        Self::new(texts.into_iter().map(timed).collect())
    }

    /// The secrets that are accepted at `now`.
    pub fn active(&self, now: Timestamp) -> ActiveSecrets<'_> {
        ActiveSecrets { all: &self.0, now }
    }

    /// All secrets, expired ones included, in the order of the configuration.
    pub fn all(&self) -> &[TimedSecret] {
        &self.0
    }
}

/// The secrets of a [`SecretSet`] that are accepted at one time. Their indexes are those of the
/// whole set.
#[derive(Debug, Clone, Copy)]
pub struct ActiveSecrets<'a> {
    all: &'a [TimedSecret],
    now: Timestamp,
}

impl<'a> ActiveSecrets<'a> {
    /// Iterates over index and secret, in the order of the configuration.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &'a Secret)> + use<'a> {
        let now = self.now;
        let active = move |s: &TimedSecret| s.until.is_none_or(|until| now < until);
        self.all.iter().enumerate().filter(move |(_, s)| active(s)).map(|(i, s)| (i, &s.secret))
    }

    /// Whether no secret is accepted: none is configured, or all have expired.
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }
}

/// Why a configured secret cannot be used. Reads as the end of a sentence that starts with the
/// secret's name: "is not hexadecimal".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
#[non_exhaustive]
pub struct SecretError {
    /// What is wrong and what is expected. Never holds the secret.
    pub message: String,
}

impl SecretError {
    /// An error with this message, which must not quote the secret.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_secret_is_rejected_with_its_index() {
        assert_eq!(SecretSet::from_texts(["a", ""]).unwrap_err(), EmptySecret { index: 1 });
    }

    #[test]
    fn an_expired_secret_is_not_active_and_indexes_stay() {
        let old = TimedSecret { secret: Secret::new("old"), until: Some(Timestamp::from_secs(10)) };
        let new = TimedSecret { secret: Secret::new("new"), until: None };
        let set = SecretSet::new(vec![old, new]).unwrap();
        let active_at =
            |s| set.active(Timestamp::from_secs(s)).iter().map(|(i, _)| i).collect::<Vec<_>>();
        assert_eq!(active_at(9), [0, 1]);
        assert_eq!(active_at(10), [1]);
    }

    #[test]
    fn debug_output_of_a_set_shows_no_secret() {
        assert!(!format!("{:?}", SecretSet::from_texts(["hunter2"]).unwrap()).contains("hunter2"));
    }
}
