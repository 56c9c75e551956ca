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

/// Verifies one request: runs [`Provider::precheck`] on its head, then [`Provider::verify`] on all of it.
/// Equal to [`precheck`] followed by [`PrecheckedHead::prove`], for callers that already hold the body.
///
/// # Errors
/// Any [`VerifyError`]. The request is dropped with it, so that nothing of it can be stored.
pub async fn prove(
    provider: &dyn Provider,
    request: Request,
    cx: &VerifyCx<'_>,
) -> Result<Proof, VerifyError> {
    precheck(provider, request.head)?.prove(request.body, cx).await
}

/// Runs [`Provider::precheck`], before the body is read. A server calls this first and
/// [`PrecheckedHead::prove`] once it has the body, so that `precheck` runs exactly once per request.
///
/// # Errors
/// The [`VerifyError`] of a head that cannot carry a valid signature.
pub fn precheck(provider: &dyn Provider, head: Head) -> Result<PrecheckedHead<'_>, VerifyError> {
    provider.precheck(&head)?;
    Ok(PrecheckedHead { provider, head })
}

/// A head that passed [`Provider::precheck`], bound to the provider that checked it. Made by [`precheck`]
/// alone, so that no request reaches [`Provider::verify`] without its precheck.
#[derive(Debug)]
#[must_use = "nothing is proven until `prove` has seen the body"]
pub struct PrecheckedHead<'p> {
    provider: &'p dyn Provider,
    head: Head,
}

impl PrecheckedHead<'_> {
    /// The checked head. Nothing in it is proven yet.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// Verifies the whole request with [`Provider::verify`], now that its body is read.
    ///
    /// # Errors
    /// Any [`VerifyError`]. Head and body are dropped with it.
    pub async fn prove(self, body: Body, cx: &VerifyCx<'_>) -> Result<Proof, VerifyError> {
        let request = Request::new(self.head, body);
        match self.provider.verify(&request, cx).await? {
            Verification::Genuine { secret } => Ok(Proof::Genuine(Verified { request, secret })),
            Verification::Handshake(handshake) => Ok(Proof::Handshake(handshake)),
        }
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
