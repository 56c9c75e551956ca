//! The scheme grammar: how most senders sign and name their events, as data instead of code.
//!
//! A provider crate keeps its [`Scheme`] in a JSON file; `provider: hmac` reads one from
//! routes.yaml. A scheme is compiled once ([`Scheme::compile`]); the [`CompiledScheme`] verifies,
//! identifies and signs, and is a [`Provider`](crate::Provider) by itself.
//!
//! ```
//! use hookward_core::scheme::Scheme;
//! use hookward_core::{Body, EventDraft, Proof, Secret, SecretSet, Timestamp, VerifyCx, prove};
//! use hookward_core::keys::NoKeys;
//!
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! let scheme = Scheme::from_json(r#"{
//!   "signature": { "in": "header", "name": "X-Acme-Signature", "prefix": "sha256=" },
//!   "message": "{timestamp}.{body}",
//!   "alg": "hmac-sha256",
//!   "timestamp": { "from": "header:X-Acme-Time", "unit": "s" },
//!   "event_type": "/type",
//!   "event_id": "/id"
//! }"#)?
//! .compile()?;
//!
//! let now = Timestamp::from_secs(1_760_000_000);
//! let body = Body::new(r#"{"type":"paid","id":"evt_1"}"#);
//! let draft = EventDraft::new("paid", "evt_1", body, "https://hooks.example.com/acme", now);
//! let request = scheme.sign(&draft, &Secret::new("s3cr3t"))?;
//!
//! let secrets = SecretSet::from_texts(["s3cr3t"])?;
//! let cx = VerifyCx::new(now, secrets.active(now), &NoKeys);
//! let Proof::Genuine(delivery) = prove(&scheme, request, &cx).await? else { panic!() };
//! assert_eq!(scheme.identify(&delivery)?[0].event_type.as_deref(), Some("paid"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! ```
//!
//! Rules that hold for every scheme:
//!
//! * Signatures are verified over the received bytes, never over parsed and re-encoded ones.
//! * A tag is decoded first, then compared in constant time.
//! * Labels, such as `v1`, are case-sensitive and never fall back to a weaker one.
//! * A timestamp is signed as it was received, and consists of digits or is RFC 3339.
//! * A variable without a value is an error, never an empty text.
//! * A list has at most 32 elements.
//! * What is read from a body before the proof is used only after it.

mod check;
mod compiled;
mod compiled_timestamp;
mod error;
mod field_location;
mod form;
mod identity;
mod one_or_more;
mod provider;
mod sign;
mod signature_extract;
mod spec;
mod template;
mod timestamp;
mod verify;

pub use compiled::CompiledScheme;
pub use error::SchemeError;
pub use field_location::FieldLocation;
pub use form::{body_form_value, form_pairs, form_value};
pub use identity::IdentityRules;
pub use one_or_more::OneOrMore;
pub use spec::{
    KeyFormat, ListSeparator, PairSeparator, Scheme, SignatureAlgorithm, SignatureLocation,
    SignatureSpec, TimeUnit, TimestampSpec,
};
