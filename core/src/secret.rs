//! Secrets, several at once so that they can be rotated. Values never show in `Debug`, and there
//! is no `==` on them: comparing goes through [`crate::crypto`].

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer};

use crate::clock::Timestamp;

/// A text that must not be shown. Wiped from memory when dropped.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// Hides a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(SecretString::from(text.into()))
    }

    /// The text itself: for keying a MAC or comparing in constant time, nothing else.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
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

/// Marked `writeOnly`, which is how diagnostics know to mask the value.
impl JsonSchema for Secret {
    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "writeOnly": true, "description": "A secret; usually `${VARIABLE}` or `${file:path}`." })
    }
}

/// A secret and the moment at which it stops being accepted, if there is one.
#[derive(Debug, Clone)]
pub struct TimedSecret {
    /// The secret.
    pub secret: Secret,
    /// Not accepted from here on.
    pub until: Option<Timestamp>,
}

/// An empty secret: an HMAC under it can be made by anyone, so it is never accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("secret {index} is empty; an empty secret can be forged by anyone")]
pub struct EmptySecret {
    /// Its place in the list, from 0.
    pub index: usize,
}

/// All secrets of a source, in the order of the configuration.
#[derive(Debug, Clone, Default)]
pub struct SecretSet(Vec<TimedSecret>);

impl SecretSet {
    /// Takes the list; refuses empty texts.
    pub fn new(secrets: Vec<TimedSecret>) -> Result<Self, EmptySecret> {
        match secrets.iter().position(|s| s.secret.expose().is_empty()) {
            Some(index) => Err(EmptySecret { index }),
            None => Ok(Self(secrets)),
        }
    }

    /// A set of secrets without an end, in order; refuses empty texts.
    pub fn from_texts<S: Into<String>>(
        texts: impl IntoIterator<Item = S>,
    ) -> Result<Self, EmptySecret> {
        let timed = |text: S| TimedSecret { secret: Secret::new(text), until: None };
        Self::new(texts.into_iter().map(timed).collect())
    }

    /// Those accepted at `now`.
    pub fn active(&self, now: Timestamp) -> ActiveSecrets<'_> {
        ActiveSecrets { all: &self.0, now }
    }

    /// Every secret with its end, in order.
    pub fn all(&self) -> &[TimedSecret] {
        &self.0
    }
}

/// The secrets that count at one moment. Indexes are those of the whole set.
#[derive(Debug, Clone, Copy)]
pub struct ActiveSecrets<'a> {
    all: &'a [TimedSecret],
    now: Timestamp,
}

impl<'a> ActiveSecrets<'a> {
    /// Index and secret, in the order of the configuration.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &'a Secret)> + use<'a> {
        let now = self.now;
        let active = move |s: &TimedSecret| s.until.is_none_or(|until| now < until);
        self.all.iter().enumerate().filter(move |(_, s)| active(s)).map(|(i, s)| (i, &s.secret))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_secret_is_refused_and_named() {
        assert_eq!(SecretSet::from_texts(["a", ""]).unwrap_err(), EmptySecret { index: 1 });
    }

    #[test]
    fn a_secret_past_its_end_no_longer_counts_and_indexes_stay() {
        let old = TimedSecret { secret: Secret::new("old"), until: Some(Timestamp::from_secs(10)) };
        let new = TimedSecret { secret: Secret::new("new"), until: None };
        let set = SecretSet::new(vec![old, new]).unwrap();
        let at = |s| set.active(Timestamp::from_secs(s)).iter().map(|(i, _)| i).collect::<Vec<_>>();
        assert_eq!(at(9), [0, 1]);
        assert_eq!(at(10), [1]);
    }

    #[test]
    fn debug_shows_no_secret() {
        assert!(!format!("{:?}", SecretSet::from_texts(["hunter2"]).unwrap()).contains("hunter2"));
    }
}
