//! [`prove`]: the only way from an unverified request to a [`Verified`] delivery. The engine, the
//! command line and the conformance kit all go through it.

mod verified;

use std::sync::Arc;

pub use verified::Verified;

use crate::body::Body;
use crate::handshake::Handshake;
use crate::provider::Provider;
use crate::request::{Head, Request};
use crate::verification::{Verification, VerifyCx};
use crate::verify_error::VerifyError;

/// What a genuine request is: a delivery with events, or a set-up handshake.
#[derive(Debug)]
pub enum Proof {
    /// A delivery: the sender wrote exactly these bytes.
    Genuine(Verified),
    /// A set-up handshake. Carry out its effect, then answer with its reply; it has no event.
    Handshake(Handshake),
}

/// Verifies one request: runs [`Provider::precheck`] on its head, then [`Provider::verify`] on all
/// of it. Equal to [`precheck`] followed by [`PrecheckedHead::prove`], for callers that already
/// hold the body.
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
/// [`PrecheckedHead::prove`] once it has the body, so that `precheck` runs exactly once per
/// request.
///
/// # Errors
/// The [`VerifyError`] of a head that cannot carry a valid signature.
pub fn precheck(provider: &dyn Provider, head: Head) -> Result<PrecheckedHead<'_>, VerifyError> {
    provider.precheck(&head)?;
    Ok(PrecheckedHead { provider, head })
}

/// A head that passed [`Provider::precheck`], bound to the provider that checked it. Made by
/// [`precheck`] alone, so that no request reaches [`Provider::verify`] without its precheck.
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
        let mut body = body.with_head(&self.head.headers);
        if let (None, Some(field)) =
            (body.json_options().form_field, self.provider.form_json_field())
        {
            body = body.with_json_options(&body.json_options().with_form_field(Arc::from(field)));
        }
        // A compressed body is opaque until its bytes are proven: a few bytes of a stranger could
        // stand for gigabytes.
        let request = Request::new(self.head, body.sealed());
        match self.provider.verify(&request, cx).await? {
            Verification::Genuine { secret } => {
                let request = Request::new(request.head, body);
                Ok(Proof::Genuine(Verified::new(request, secret)))
            }
            Verification::Handshake(handshake) => Ok(Proof::Handshake(handshake)),
        }
    }
}
