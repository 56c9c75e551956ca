//! [`Verified`], the type that stands for a proof.

use std::fmt;

use crate::body::Body;
use crate::body_error::BodyError;
use crate::exact_json::ExactJson;
use crate::request::{Head, Request};

/// A delivery whose sender is proven. [`prove`](crate::prove) is its only maker; it has no public
/// constructor, no `Clone` and no `Default`.
pub struct Verified {
    request: Request,
    secret_index: usize,
}

impl Verified {
    /// Visible to the module `prove` alone: whoever can call this can forge a proof.
    pub(super) fn new(request: Request, secret_index: usize) -> Self {
        Self { request, secret_index }
    }

    /// Method, target and headers. Most schemes do not sign them: the provider's page says which
    /// do.
    pub fn head(&self) -> &Head {
        &self.request.head
    }

    /// The received bytes, which the proof covers.
    pub fn body(&self) -> &Body {
        &self.request.body
    }

    /// The body as strict JSON ([`parse_strict`](crate::parse_strict)). Parsed at most once and
    /// shared.
    ///
    /// # Errors
    /// [`BodyError`] where the body is not strict JSON.
    pub fn json(&self) -> Result<&serde_json::Value, &BodyError> {
        self.request.body.json()
    }

    /// Like [`json`](Self::json), with every digit of its numbers; see
    /// [`Body::exact_json`](crate::Body::exact_json).
    ///
    /// # Errors
    /// [`BodyError`] where the body is not strict JSON.
    pub fn exact_json(&self) -> Result<ExactJson<'_>, &BodyError> {
        self.request.body.exact_json()
    }

    /// The value of a header; `None` where the header is absent or has several different values.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.request.head.single(name).ok().flatten()
    }

    /// Index of the secret that matched, in the order of the configuration. Zero where the proof
    /// needs no secret, such as a token that the sender signed with a private key.
    pub fn secret_index(&self) -> usize {
        self.secret_index
    }
}

impl fmt::Debug for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verified").field("request", &self.request).finish_non_exhaustive()
    }
}
