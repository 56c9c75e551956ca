//! The keys of a scheme, as they stand in JSON and YAML. Their doc comments are the descriptions in
//! the JSON Schema of routes.yaml.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer};

use crate::crypto::Encoding;
use crate::scheme::one_or_more::OneOrMore;
use crate::units::HumanDuration;

/// How a sender signs and where it names its events.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scheme {
    /// Where the signature is and how it is written.
    pub signature: SignatureSpec,
    /// What is signed: text with `{body}`, `{timestamp}`, `{header:NAME}`, `{sig:KEY}`, `{url}`,
    /// `{method}`, `{json:/pointer}`, `{form:field}`; with `alg: sha256` also `{key}`. Ignored with
    /// `alg: equal`.
    #[serde(default = "whole_body")]
    pub message: String,
    /// How the signature is made from the message and the secret.
    pub alg: SignatureAlgorithm,
    /// How the configured secret becomes the key.
    #[serde(default)]
    pub key: KeyFormat,
    /// The signed timestamp, for senders that sign one.
    #[serde(default)]
    pub timestamp: Option<TimestampSpec>,
    /// Where the event type is: `/pointer` into the body, `header:NAME` or `form:FIELD`; of
    /// several, the first that is present. Without this key every event has the type `event`.
    #[serde(default)]
    pub event_type: Option<OneOrMore>,
    /// Where the event id is, written as for `event_type`. Without this key events have no id.
    #[serde(default)]
    pub event_id: Option<OneOrMore>,
    /// Where the array of events is, for senders that batch: a JSON pointer, or `""` for the whole
    /// body. Pointers of `event_type` and `event_id` then start at the item; `^/pointer` starts at
    /// the body.
    #[serde(default)]
    pub batch: Option<String>,
    /// Where a signed text is that no other delivery carries, for signatures that do not cover the
    /// body: `header:NAME`, `json:/pointer` or `form:FIELD`. A second delivery with it is a
    /// duplicate of the first.
    #[serde(default)]
    pub replay_token: Option<String>,
}

fn whole_body() -> String {
    "{body}".to_owned()
}

/// Where the signature is and how it is written.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SignatureSpec {
    /// The part of the request in which the signature is.
    #[serde(rename = "in")]
    pub location: SignatureLocation,
    /// The header's name (one that ends in `-*` means all headers that begin so), a JSON pointer
    /// (with `*` as one segment it means every item, and all must match), a form field or a query
    /// parameter.
    pub name: String,
    /// Text before the signature that is not a part of it, such as `sha256=`. Case-sensitive.
    #[serde(default)]
    pub prefix: Option<String>,
    /// For lists: the character between two elements.
    #[serde(default)]
    pub split: Option<ListSeparator>,
    /// For lists: the character between key and value of an element.
    #[serde(default)]
    pub pair: Option<PairSeparator>,
    /// For lists: the key of the elements that are signatures. One match is enough.
    #[serde(default)]
    pub take: Option<String>,
    /// For lists: whether white space around elements is removed.
    #[serde(default)]
    pub trim: bool,
    /// How the signature is written. Ignored with `alg: equal`.
    #[serde(default = "hex")]
    pub encoding: Encoding,
}

fn hex() -> Encoding {
    Encoding::Hex
}

/// The part of a request in which a signature is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SignatureLocation {
    /// In a header, or in several headers of one prefix.
    Header,
    /// At a JSON pointer into the body.
    Json,
    /// In a field of a form body.
    Form,
    /// In the query of the URL.
    Query,
}

/// The character between two elements of a signature's list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum ListSeparator {
    /// A comma, as in `t=1,v1=ab`.
    #[serde(rename = ",")]
    Comma,
    /// A semicolon, as in `t=1;v1=ab`.
    #[serde(rename = ";")]
    Semicolon,
    /// A space, as in `v1,ab v1,cd` (Standard Webhooks).
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

/// The character between key and value of a list's element.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum PairSeparator {
    /// An equals sign, as in `v1=ab`.
    #[serde(rename = "=")]
    Equals,
    /// A comma, as in `v1,ab` (Standard Webhooks).
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

/// How a signature is made from the message and the secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum SignatureAlgorithm {
    /// HMAC (RFC 2104) with SHA-1.
    #[serde(rename = "hmac-sha1")]
    HmacSha1,
    /// HMAC (RFC 2104) with SHA-256.
    #[serde(rename = "hmac-sha256")]
    HmacSha256,
    /// HMAC (RFC 2104) with SHA-512.
    #[serde(rename = "hmac-sha512")]
    HmacSha512,
    /// Plain SHA-256; the secret is a part of the message, as `{key}`.
    #[serde(rename = "sha256")]
    Sha256,
    /// Ed25519 (RFC 8032). The secret is the sender's public key.
    #[serde(rename = "ed25519")]
    Ed25519,
    /// ECDSA over P-256 with SHA-256, in DER. The secret is the sender's public key.
    #[serde(rename = "ecdsa-p256-sha256-der")]
    EcdsaP256Sha256Der,
    /// The signature is the secret itself, a token. It shows who sent the request, not that the
    /// bytes are as they were sent.
    #[serde(rename = "equal")]
    Equal,
}

/// How the configured secret becomes the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum KeyFormat {
    /// The secret's bytes as they are.
    #[default]
    Utf8,
    /// Hexadecimal, decoded.
    Hex,
    /// Base64, decoded; a leading `whsec_` or `v1,whsec_` is removed (Standard Webhooks, symmetric).
    Whsec,
    /// An Ed25519 public key in base64; a leading `whpk_` or `v1a,whpk_` is removed (Standard
    /// Webhooks, asymmetric).
    Whpk,
    /// A P-256 public key as SubjectPublicKeyInfo in base64: a PEM file without its first and last
    /// line.
    #[serde(rename = "spki-b64")]
    SpkiB64,
}

/// The signed timestamp of a request.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TimestampSpec {
    /// Where the timestamp is: `header:NAME`, `sig:KEY`, `json:/pointer` or `form:FIELD`.
    pub from: String,
    /// How the timestamp is written.
    pub unit: TimeUnit,
    /// How long ago the timestamp may be. The source's `tolerance` overrides `past` and `future`.
    #[serde(default = "five_minutes", deserialize_with = "duration_or_seconds")]
    #[schemars(with = "DurationOrSeconds")]
    pub past: HumanDuration,
    /// How far in the future the timestamp may be.
    #[serde(default = "five_minutes", deserialize_with = "duration_or_seconds")]
    #[schemars(with = "DurationOrSeconds")]
    pub future: HumanDuration,
    /// Whether a body without the timestamp is accepted, without a check of its age. Allowed only
    /// with `json:/pointer` and a message with `{body}` and without `{timestamp}`: the signature
    /// covers the body, so that nobody but the sender can leave the timestamp out.
    #[serde(default)]
    pub optional: bool,
}

fn five_minutes() -> HumanDuration {
    HumanDuration::from_secs(300)
}

/// JSON Schema of a [`HumanDuration`] that may also be a number of seconds.
struct DurationOrSeconds;

impl JsonSchema for DurationOrSeconds {
    fn schema_name() -> Cow<'static, str> {
        "DurationOrSeconds".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "integer"], "minimum": 0, "description": "A duration such as 5m, or a number of seconds." })
    }
}

/// Reads a duration, or a number of seconds.
fn duration_or_seconds<'de, D: Deserializer<'de>>(d: D) -> Result<HumanDuration, D::Error> {
    struct DurationVisitor;
    impl Visitor<'_> for DurationVisitor {
        type Value = HumanDuration;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a duration such as 5m, or a number of seconds")
        }
        fn visit_u64<E: de::Error>(self, n: u64) -> Result<HumanDuration, E> {
            Ok(HumanDuration::from_secs(n))
        }
        fn visit_str<E: de::Error>(self, text: &str) -> Result<HumanDuration, E> {
            text.parse().map_err(E::custom)
        }
    }
    d.deserialize_any(DurationVisitor)
}

/// How a timestamp is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TimeUnit {
    /// Seconds since the Unix epoch, digits only.
    S,
    /// Milliseconds since the Unix epoch, digits only.
    Ms,
    /// A time by RFC 3339, such as `2026-01-31T12:00:00Z`.
    Rfc3339,
}
