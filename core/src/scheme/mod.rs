//! The scheme grammar: how most senders sign, as data. A provider crate keeps its scheme in a JSON
//! file; `provider: hmac` reads one from routes.yaml. A [`Scheme`] is read, then compiled once.
//!
//! Rules that hold for all schemes: verify over raw bytes; decode, then compare in constant time;
//! labels are case-sensitive and never fall back to a weaker one; a timestamp is digits and is
//! signed as received; a variable that cannot be resolved is an error, never an empty text; at most
//! 32 elements in a list; what is read from a body before the proof is used only after it.

mod compiled;
mod field_location;
mod form;
mod identity;
mod provider;
mod sign;
mod signature_extract;
mod spec;
mod template;
mod timestamp;
mod verify;

pub use compiled::CompiledScheme;
pub use field_location::FieldLocation;
pub use form::{form_pairs, form_value};
pub use identity::IdentityRules;
pub use spec::{
    KeyFormat, ListSeparator, OneOrMore, PairSeparator, Scheme, SchemeError, SignatureAlgorithm,
    SignatureLocation, SignatureSpec, TimeUnit, TimestampSpec,
};
