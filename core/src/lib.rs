//! The contract of Hookward: what authors of providers, handlers and stores depend on.
//!
//! If you write a plugin, this small and slow-moving crate is the only one you need. If you run
//! webhooks in an app, you want the `hookward` crate instead, which re-exports what you touch.
//!
//! * A [`Provider`] proves that a sender wrote exactly these bytes and names the events in them.
//! * A [`Handler`] is one step of a chain that works on an [`Event`].
//! * A [`Store`] keeps accepted deliveries and their jobs.
//!
//! Trust is a type: a [`Request`] is anyone's bytes; only [`prove`] turns it into a [`Verified`]
//! delivery, and nothing downstream takes anything else.
//!
//! # Features
//!
//! Both are on by default. A handler or a store needs neither of them, and compiles faster with
//! `default-features = false`.
//!
//! * `scheme`: [`scheme`], signature schemes as data. Brings no further crate.
//! * `keys`: signatures under public keys, JWTs and certificates in [`crypto`] and [`keys`]. Brings ring,
//!   rustls-webpki and webpki-roots.
#![warn(missing_docs)]

#[macro_use]
mod setters;

mod body;
mod clock;
pub mod crypto;
mod event;
mod event_json;
mod handler;
mod handshake;
mod id;
mod identity;
mod json;
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

pub use body::{Body, BodyError};
pub use clock::{Clock, SystemClock, Timestamp};
pub use event::{Event, EventParts};
pub use event_json::event_json;
pub use handler::{Flow, Handler, HandlerCx, HandlerError, ProbeError, RetryDecision};
pub use handshake::{Handshake, HandshakeEffect, check_echo_token};
pub use id::{EventId, JobId, ParseEventIdError, ParseJobIdError};
pub use identity::{IdentifyError, Identity, ProviderEventId};
pub use json::{MAX_JSON_DEPTH, parse_strict};
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
