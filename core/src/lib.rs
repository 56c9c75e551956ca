//! The contract of Hookward: the traits and types that authors of providers, handlers and stores
//! depend on.
//!
//! Hookward receives webhooks: it verifies that a delivery comes from its sender, stores its
//! events, and runs handlers on them until they succeed. If you write a plugin, this small and
//! slow-moving crate is the only one you need. If you receive webhooks in an app, use the crate
//! `hookward`, which re-exports what an app needs of this one.
//!
//! * A [`Provider`] proves that a sender wrote exactly these bytes, and names the events in them.
//! * A [`Handler`] is one step of a chain that works on an [`Event`].
//! * A [`Store`] holds accepted deliveries and their jobs.
//!
//! Trust is a type: anybody may have written a [`Request`]; only [`prove`] turns one into a
//! [`Verified`] delivery, and nothing downstream accepts anything else.
//!
//! # A provider
//!
//! How most senders sign is data: a scheme. This provider is complete; its crate adds test vectors
//! and the suite of `hookward-testkit`, and routes.yaml says `provider: acme`.
//!
//! ```
//! use std::sync::Arc;
//!
//! use hookward_core::plugin::{BuildCx, BuildError, ProviderConfig};
//! use hookward_core::scheme::Scheme;
//! use hookward_core::{Body, EventDraft, Provider, SampleEvent, Secret, Timestamp};
//!
//! /// The `with:` block of `provider: acme`: no keys.
//! #[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
//! #[serde(deny_unknown_fields)]
//! pub struct AcmeConfig {}
//!
//! impl ProviderConfig for AcmeConfig {
//!     const NAME: &'static str = "acme";
//!     const SUMMARY: &'static str = "Acme deliveries, signed with the shop's key";
//!     const SAMPLES: &'static [SampleEvent] =
//!         &[SampleEvent::new("*", "acme_", r#"{"id":"%ID%","type":"%TYPE%"}"#)];
//!
//!     fn build(self, _: &BuildCx<'_>) -> Result<Arc<dyn Provider>, BuildError> {
//!         let scheme = r#"{
//!             "signature": { "in": "header", "name": "x-acme-signature", "encoding": "hex" },
//!             "message": "{body}",
//!             "alg": "hmac-sha256",
//!             "key": "utf8",
//!             "event_type": "/type",
//!             "event_id": "/id"
//!         }"#;
//!         Ok(Arc::new(Scheme::from_json(scheme)?.compile()?))
//!     }
//! }
//!
//! hookward_core::register_provider!(AcmeConfig);
//!
//! // What it signs, it accepts.
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use hookward_core::keys::NoKeys;
//! use hookward_core::{Proof, SecretSet, VerifyCx, prove};
//!
//! let cx = BuildCx::new(std::path::Path::new("."), "shop");
//! let provider = AcmeConfig {}.build(&cx)?;
//! let now = Timestamp::from_secs(1_760_000_000);
//! let url = "https://hooks.example.com/webhooks/shop";
//! let body = Body::new(r#"{"id":"acme_1","type":"order.paid"}"#);
//! let draft = EventDraft::new("order.paid", "acme_1", body, url, now);
//! let signer = provider.signer().expect("an HMAC can be made");
//! let request = signer.sign(&draft, &Secret::new("hush"))?;
//!
//! let secrets = SecretSet::from_texts(["hush"])?;
//! let cx = VerifyCx::new(now, secrets.active(now), &NoKeys);
//! let Proof::Genuine(delivery) = prove(provider.as_ref(), request, &cx).await? else { panic!() };
//! assert_eq!(provider.identify(&delivery)?[0].event_type.as_deref(), Some("order.paid"));
//! # Ok(())
//! # }
//! ```
//!
//! # A handler
//!
//! ```
//! use std::sync::Arc;
//!
//! use async_trait::async_trait;
//! use hookward_core::plugin::{BuildCx, BuildError, HandlerConfig};
//! use hookward_core::{Event, Flow, Handler, HandlerCx, HandlerError};
//!
//! /// The `with:` block of `handler: count`.
//! #[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
//! #[serde(deny_unknown_fields)]
//! pub struct CountConfig {
//!     /// JSON pointer to the list to count.
//!     list: String,
//! }
//!
//! impl HandlerConfig for CountConfig {
//!     const NAME: &'static str = "count";
//!     const SUMMARY: &'static str = "Prints how many entries a list of the body has";
//!
//!     fn build(self, _: &BuildCx<'_>) -> Result<Arc<dyn Handler>, BuildError> {
//!         if self.list.starts_with('/') {
//!             return Ok(Arc::new(Count { list: self.list }));
//!         }
//!         Err(BuildError::at("/list", format!("`{}` is not a JSON pointer", self.list))
//!             .help("write `/` before each name, such as `/order/items`"))
//!     }
//! }
//!
//! #[derive(Debug)]
//! struct Count {
//!     list: String,
//! }
//!
//! #[async_trait]
//! impl Handler for Count {
//!     async fn handle(&self, event: Event, cx: &HandlerCx) -> Result<Flow, HandlerError> {
//!         // No attempt can find a list that is not in the body.
//!         let list = event.json().map_err(HandlerError::fatal)?.pointer(&self.list);
//!         let list = list.and_then(|list| list.as_array());
//!         let list = list.ok_or_else(|| HandlerError::fatal("the body has no such list"))?;
//!         println!("{}: {} entries", cx.idempotency_key(), list.len());
//!         Ok(Flow::Next)
//!     }
//! }
//!
//! hookward_core::register_handler!(CountConfig);
//! # fn main() {}
//! ```
//!
//! # Where to go next
//!
//! * [`scheme`]: the grammar of signature schemes. A sender that it cannot express implements
//!   [`Provider::verify`] with the primitives of [`crypto`] and [`keys`].
//! * [`store`]: the contract of stores, and [`store::JobQueue`] for stores with one owner.
//! * [`plugin`]: how plugins register, and [`plugin::Registry`].
//! * `hookward new provider` and `hookward new handler` write a crate to start from, and
//!   `hookward-testkit` has the conformance suites: each rule of `docs/spec/` is one test.
//!
//! # How the contract grows
//!
//! Structs that may gain fields are `#[non_exhaustive]`: they have a constructor with what is
//! required and `with_*` setters for the rest. Setters of optional fields take the value or an
//! `Option`. Methods that are added to a trait have a default. Enums by which one side decides,
//! such as [`Flow`] and [`store::Settlement`], are closed on purpose: a new case needs new code on
//! the other side.
//!
//! # Features
//!
//! Both are on by default. A handler or a store needs neither of them, and compiles faster with
//! `default-features = false`.
//!
//! * `scheme`: [`scheme`], signature schemes as data. Brings no further crate.
//! * `keys`: signatures under public keys, JWTs and certificates in [`crypto`] and [`keys`]. Brings
//!   ring, rustls-webpki and webpki-roots.
#![warn(missing_docs)]

#[macro_use]
mod setters;

mod body;
mod body_error;
mod body_reading;
mod client_certificate;
mod clock;
mod content_encoding;
pub mod crypto;
mod decimal;
mod event;
mod event_json;
mod exact_json;
mod form_fields;
#[cfg_attr(not(feature = "scheme"), allow(unreachable_pub, reason = "public with the schemes"))]
mod form_pairs;
mod handler;
mod handshake;
mod header_policy;
mod id;
mod identity;
mod json;
mod json_repair;
mod key_source;
pub mod keys;
pub mod plugin;
mod prove;
mod provider;
mod public_ip;
mod reply;
mod request;
#[cfg(feature = "scheme")]
pub mod scheme;
mod secret;
mod signer;
pub mod store;
pub mod telemetry;
mod units;
mod verification;
mod verify_error;

pub use body::{Body, ProofJson};
pub use body_error::BodyError;
pub use body_reading::JsonOptions;
pub use client_certificate::{ClientCertificate, TLS_CLIENT_SAN, TLS_CLIENT_SUBJECT};
pub use clock::{Clock, SystemClock, Timestamp};
pub use content_encoding::{
    ContentEncoding, DecodeError, MAX_COMPRESSION_RATIO, MAX_CONTENT_BYTES,
};
pub use decimal::Decimal;
pub use event::{Event, EventParts};
pub use event_json::event_json;
pub use exact_json::ExactJson;
pub use form_fields::FormField;
pub use handler::{Flow, Handler, HandlerCx, HandlerError, ProbeError, RetryDecision};
pub use handshake::{
    Handshake, HandshakeEffect, check_echo_token, may_be_unsigned_probe, unsigned_probe_body,
};
pub use header_policy::is_credential_header;
pub use id::{EventId, JobId, ParseEventIdError, ParseJobIdError};
pub use identity::{IdentifyError, Identity, ProviderEventId, RequestPart};
pub use json::{DuplicateKeys, MAX_JSON_DEPTH, parse_strict};
pub use key_source::KeySource;
pub use prove::{PrecheckedHead, Proof, Verified, precheck, prove};
pub use provider::Provider;
pub use public_ip::is_public_address;
pub use reply::{DeliveryOutcome, Receipt, ReceiptEvent, Reply};
pub use request::{Head, Request};
pub use secret::{ActiveSecrets, EmptySecret, Secret, SecretError, SecretSet, TimedSecret};
pub use signer::{EventDraft, SampleEvent, SignError, Signer};
pub use store::Store;
pub use units::{ByteSize, HumanDuration, ParseByteSizeError, ParseDurationError};
pub use verification::{Verification, VerifyCx};
pub use verify_error::VerifyError;

#[doc(hidden)]
pub mod __private {
    pub use inventory;
}
