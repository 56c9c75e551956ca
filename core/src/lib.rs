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
#![warn(missing_docs)]

mod body;
mod clock;
mod event;
mod handler;
mod handshake;
mod internet;
mod json;
pub mod keys;
mod line;
pub mod plugin;
pub mod proof;
mod provider;
mod reply;
mod request;
pub mod scheme;
mod secret;
pub mod store;
pub mod telemetry;
mod units;
pub mod vectors;

pub use body::{Body, BodyError};
pub use clock::{Clock, SystemClock, Timestamp};
pub use event::{Event, EventId, EventParts};
pub use handler::{Flow, Handler, HandlerCx, HandlerError, Remedy};
pub use handshake::{Effect, Handshake, echo_token};
pub use internet::is_public_address;
pub use json::{MAX_DEPTH, parse_strict};
pub use keys::KeySource;
pub use line::event_line;
pub use proof::{Proof, Verified, VerifyError, prove};
pub use provider::{
    Draft, EventName, IdentifyError, Identity, Provider, Sample, SignError, Signer, Verification,
    VerifyCx,
};
pub use reply::{Outcome, Receipt, ReceiptEvent, Reply};
pub use request::{Head, Request};
pub use secret::{ActiveSecrets, EmptySecret, Secret, SecretSet, TimedSecret};
pub use store::Store;
pub use units::{Period, Size};

#[doc(hidden)]
pub mod __private {
    pub use inventory;
}
