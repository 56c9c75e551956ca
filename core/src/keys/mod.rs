//! Public keys that a sender publishes: JWK sets, certificates, key services.
//!
//! A provider asks the [`KeySource`] of its [`VerifyCx`](crate::VerifyCx) for a document by URL,
//! after it has pinned the URL to its sender's hosts ([`split_https_url`]). The engine's
//! `KeySource` fetches, caches and limits; a provider itself never uses the network. Tests and
//! `hookward verify` serve a document with [`FixedKeys`].
//!
//! [`KeySource`] and its requests are always here. [`jwt`], [`x509`], [`Jwks`] and [`PublicKey`]
//! need the feature `keys`, which compiles ring and rustls-webpki and is on by default.

mod https_url;
#[cfg(feature = "keys")]
mod jwk;
#[cfg(feature = "keys")]
pub mod jwt;
#[cfg(feature = "keys")]
pub mod x509;

pub use https_url::split_https_url;
#[cfg(feature = "keys")]
pub use jwk::{Jwk, Jwks, PublicKey};

pub use crate::key_source::{
    FixedKeys, KeyDocument, KeyRequest, KeyRequestBody, KeySource, NoKeys,
};
