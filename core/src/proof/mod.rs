//! Proof: the only door from anyone's bytes to a delivery that the rest of the house may read.
//! Called by the engine, the CLI and the conformance kit, all through [`prove`].

mod algorithm;
pub(crate) mod der;
mod error;
mod public;
mod tag;

use std::fmt;

pub use algorithm::{ProofAlgorithm, sha256};
pub use error::VerifyError;
pub use public::{p256_point, rsa_key, rsa_key_of};
pub use tag::{Encoding, HmacAlgorithm, Mac, Tag, tokens_equal};

use crate::body::{Body, BodyError};
use crate::handshake::Handshake;
use crate::provider::{Provider, Verification, VerifyCx};
use crate::request::{Head, Request};

/// What [`prove`] found.
#[derive(Debug)]
pub enum Proof {
    /// The sender wrote exactly these bytes.
    Genuine(Verified),
    /// A set-up handshake: do what it wants, then answer it; there is no event.
    Handshake(Handshake),
}

/// A delivery whose sender is proven. Made by [`prove`] alone.
pub struct Verified {
    request: Request,
    secret: usize,
}

/// Asks the provider whether this request is genuine: first from the head alone, then in full.
///
/// # Errors
/// Any [`VerifyError`]; the request is then gone, and nothing of it may be kept.
pub async fn prove(
    provider: &dyn Provider,
    request: Request,
    cx: &VerifyCx<'_>,
) -> Result<Proof, VerifyError> {
    provider.precheck(&request.head)?;
    match provider.verify(&request, cx).await? {
        Verification::Genuine { secret } => Ok(Proof::Genuine(Verified { request, secret })),
        Verification::Handshake(handshake) => Ok(Proof::Handshake(handshake)),
    }
}

impl Verified {
    /// Method, target and headers. Most schemes do not cover them: see the provider's page.
    pub fn head(&self) -> &Head {
        &self.request.head
    }

    /// The proven bytes.
    pub fn body(&self) -> &Body {
        &self.request.body
    }

    /// The body as strict JSON, read once.
    pub fn json(&self) -> Result<&serde_json::Value, &BodyError> {
        self.request.body.json()
    }

    /// A header that has one value; `None` where it is absent or ambiguous.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.request.head.single(name).ok().flatten()
    }

    /// Index of the secret that matched, in the order of the configuration.
    pub fn secret(&self) -> usize {
        self.secret
    }
}

impl fmt::Debug for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verified").field("request", &self.request).finish_non_exhaustive()
    }
}
