//! The shape of a scheme, as it stands in JSON and YAML.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::crypto::Encoding;
use crate::units::HumanDuration;

/// How a sender signs and where it names its events.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scheme {
    /// Where the signature is and how it is written.
    pub signature: SignatureSpec,
    /// What is signed: text with `{body}`, `{timestamp}`, `{header:NAME}`, `{sig:KEY}`, `{url}`,
    /// `{method}`, `{json:/pointer}`, `{form:field}`; with `alg: sha256` also `{key}`. Not used with
    /// `alg: equal`.
    #[serde(default = "body")]
    pub message: String,
    /// The algorithm.
    pub alg: SignatureAlgorithm,
    /// How the secret's text becomes the key.
    #[serde(default)]
    pub key: KeyFormat,
    /// The signed time, where there is one.
    #[serde(default)]
    pub timestamp: Option<TimestampSpec>,
    /// Where the event type is: `/pointer` into the body, `header:NAME` or `form:FIELD`; of several,
    /// the first that is there. Without this key every event has the type `event`.
    #[serde(default)]
    pub event_type: Option<OneOrMore>,
    /// Where the event id is; as for `event_type`.
    #[serde(default)]
    pub event_id: Option<OneOrMore>,
    /// Where the array of events is, for senders that batch: a pointer, or `""` for the whole body.
    /// Pointers of `event_type` and `event_id` then start at the item; `^/pointer` starts at the body.
    #[serde(default)]
    pub batch: Option<String>,
    /// Where a signed text is that no other delivery carries, for signatures that leave the body open:
    /// `header:NAME`, `json:/pointer` or `form:FIELD`. A second delivery with it is a duplicate of the first.
    #[serde(default)]
    pub replay_token: Option<String>,
}

fn body() -> String {
    "{body}".to_owned()
}

/// Where the signature is and how it is written.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SignatureSpec {
    /// Where to look.
    #[serde(rename = "in")]
    pub place: SignatureLocation,
    /// A header name (ending in `-*`: all headers that start so), a JSON pointer (`*` as one segment:
    /// every item, all of which must match), a form field or a query parameter.
    pub name: String,
    /// What stands before the signature, such as `sha256=`. Case-sensitive.
    #[serde(default)]
    pub prefix: Option<String>,
    /// For lists: what stands between the elements.
    #[serde(default)]
    pub split: Option<ListSeparator>,
    /// For lists: what stands between key and value of an element.
    #[serde(default)]
    pub pair: Option<PairSeparator>,
    /// For lists: the key whose values are signatures. Any match is enough.
    #[serde(default)]
    pub take: Option<String>,
    /// For lists: white space around elements is passed over.
    #[serde(default)]
    pub trim: bool,
    /// How the signature is written. Not used with `alg: equal`.
    #[serde(default = "hex")]
    pub encoding: Encoding,
}

fn hex() -> Encoding {
    Encoding::Hex
}

/// Where a signature is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SignatureLocation {
    /// In a header.
    Header,
    /// In the JSON body.
    Json,
    /// In a field of a form body.
    Form,
    /// In the query of the URL.
    Query,
}

/// What stands between the elements of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum ListSeparator {
    /// `,`
    #[serde(rename = ",")]
    Comma,
    /// `;`
    #[serde(rename = ";")]
    Semicolon,
    /// A space.
    #[serde(rename = " ")]
    Space,
}

impl ListSeparator {
    pub(crate) fn as_char(self) -> char {
        match self {
            Self::Comma => ',',
            Self::Semicolon => ';',
            Self::Space => ' ',
        }
    }
}

/// What stands between key and value of an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum PairSeparator {
    /// `=`
    #[serde(rename = "=")]
    Equals,
    /// `,`
    #[serde(rename = ",")]
    Comma,
}

impl PairSeparator {
    pub(crate) fn as_char(self) -> char {
        match self {
            Self::Equals => '=',
            Self::Comma => ',',
        }
    }
}

/// The algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum SignatureAlgorithm {
    /// HMAC with SHA-1.
    #[serde(rename = "hmac-sha1")]
    HmacSha1,
    /// HMAC with SHA-256.
    #[serde(rename = "hmac-sha256")]
    HmacSha256,
    /// HMAC with SHA-512.
    #[serde(rename = "hmac-sha512")]
    HmacSha512,
    /// SHA-256 without a MAC; the secret is part of the message, as `{key}`.
    #[serde(rename = "sha256")]
    Sha256,
    /// Ed25519. The secret is the sender's public key.
    #[serde(rename = "ed25519")]
    Ed25519,
    /// ECDSA over P-256 with SHA-256, in DER. The secret is the sender's public key.
    #[serde(rename = "ecdsa-p256-sha256-der")]
    EcdsaP256Sha256Der,
    /// The signature is the secret itself: a token. Says who sent it, not that the bytes are as sent.
    #[serde(rename = "equal")]
    Equal,
}

/// How the secret's text becomes the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum KeyFormat {
    /// Its bytes as they are.
    #[default]
    Utf8,
    /// Hex digits, decoded.
    Hex,
    /// Base64, decoded, after `whsec_` where the text starts so (Standard Webhooks).
    Whsec,
    /// A public key in base64, after `whpk_` where the text starts so (Standard Webhooks).
    Whpk,
    /// A public key of P-256 as SubjectPublicKeyInfo in base64: a PEM file without its frame.
    #[serde(rename = "spki-b64")]
    SpkiB64,
}

/// The signed time.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TimestampSpec {
    /// Where it is: `header:NAME`, `sig:KEY`, `json:/pointer` or `form:FIELD`.
    pub from: String,
    /// How it is written.
    pub unit: TimeUnit,
    /// How long ago it may be; the source's `tolerance` overrides both.
    #[serde(default = "five_minutes", deserialize_with = "seconds")]
    #[schemars(with = "Window")]
    pub past: HumanDuration,
    /// How far ahead it may be.
    #[serde(default = "five_minutes", deserialize_with = "seconds")]
    #[schemars(with = "Window")]
    pub future: HumanDuration,
}

fn five_minutes() -> HumanDuration {
    HumanDuration::from_secs(300)
}

/// Stands for a period or a number of seconds in the JSON Schema.
struct Window;

impl JsonSchema for Window {
    fn schema_name() -> Cow<'static, str> {
        "Window".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "integer"], "minimum": 0, "description": "A span such as 5m, or a number of seconds." })
    }
}

fn seconds<'de, D: Deserializer<'de>>(d: D) -> Result<HumanDuration, D::Error> {
    struct Seconds;
    impl Visitor<'_> for Seconds {
        type Value = HumanDuration;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a span such as 5m, or a number of seconds")
        }
        fn visit_u64<E: de::Error>(self, n: u64) -> Result<HumanDuration, E> {
            Ok(HumanDuration::from_secs(n))
        }
        fn visit_str<E: de::Error>(self, text: &str) -> Result<HumanDuration, E> {
            HumanDuration::parse(text).map_err(E::custom)
        }
    }
    d.deserialize_any(Seconds)
}

/// How a time is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TimeUnit {
    /// Seconds since the Unix epoch, digits only.
    S,
    /// Milliseconds since the Unix epoch, digits only.
    Ms,
    /// RFC 3339.
    Rfc3339,
}

/// One text or a list of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OneOrMore(pub Vec<String>);

impl<'de> Deserialize<'de> for OneOrMore {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Texts;
        impl<'de> Visitor<'de> for Texts {
            type Value = OneOrMore;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a list of texts")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<OneOrMore, E> {
                Ok(OneOrMore(vec![text.to_owned()]))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<OneOrMore, A::Error> {
                let mut texts = Vec::new();
                while let Some(text) = seq.next_element()? {
                    texts.push(text);
                }
                Ok(OneOrMore(texts))
            }
        }
        d.deserialize_any(Texts)
    }
}

impl JsonSchema for OneOrMore {
    fn schema_name() -> Cow<'static, str> {
        "OneOrMore".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "array"], "items": { "type": "string" }, "minItems": 1 })
    }
}

/// Why a scheme cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SchemeError {
    /// JSON pointer into the scheme.
    pub at: String,
    /// What was found and what is allowed.
    pub message: String,
}

impl SchemeError {
    pub(crate) fn new(at: &str, message: impl Into<String>) -> Self {
        Self { at: at.to_owned(), message: message.into() }
    }
}

impl From<SchemeError> for crate::plugin::BuildError {
    fn from(e: SchemeError) -> Self {
        Self::at(e.at, e.message)
    }
}
