//! Public keys that live with the sender: JWKS documents, certificates, key services. A provider asks
//! for a document by its address, which it has pinned to its sender's hosts before; whoever runs the
//! engine brings the [`KeySource`] that fetches, caches and limits. There is no network in a provider.

mod https_url;
#[cfg(feature = "keys")]
mod jwk;
#[cfg(feature = "keys")]
pub mod jwt;
#[cfg(feature = "keys")]
pub mod x509;

use std::fmt;

pub use https_url::split_https_url;
#[cfg(feature = "keys")]
pub use jwk::{Jwk, Jwks, PublicKey};

use async_trait::async_trait;
use bytes::Bytes;

use crate::clock::Timestamp;
use crate::verify_error::VerifyError;

/// Fetches documents with public keys in them.
///
/// An implementation speaks https to public addresses alone, follows no redirects, bounds time and
/// size, keeps what it fetched, asks once where many ask at a time, and limits how often it asks.
#[async_trait]
pub trait KeySource: fmt::Debug + Send + Sync {
    /// The document at an address, fetched now or earlier.
    ///
    /// # Errors
    /// [`VerifyError::KeyUnavailable`], and nothing else: the sender is told to try again.
    async fn fetch(&self, want: &KeyRequest) -> Result<KeyDocument, VerifyError>;

    /// Calls an address once with GET, which is how some senders want a subscription confirmed.
    ///
    /// # Errors
    /// [`VerifyError::KeyUnavailable`] where the answer is no 2xx.
    async fn confirm(&self, url: &str) -> Result<(), VerifyError>;
}

/// Which document.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct KeyRequest {
    /// Its address. The provider has made sure that its sender is there: https, and a pinned host.
    pub url: String,
    /// Where the service wants a POST: its JSON body. It may hold the credentials of an account.
    pub post: Option<KeyRequestBody>,
    /// A copy that was fetched before this moment did not hold what is needed. A source that asked
    /// less than a minute ago may answer with that copy all the same.
    pub newer_than: Option<Timestamp>,
}

/// The JSON body of a question. Never shown.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct KeyRequestBody(pub Bytes);

impl fmt::Debug for KeyRequestBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A document as fetched.
#[derive(Debug, Clone)]
pub struct KeyDocument {
    /// Its bytes: JSON or PEM, public either way.
    pub bytes: Bytes,
    /// When it was fetched.
    pub fetched_at: Timestamp,
    /// Whether nobody fetched it: whoever asks for this judgement gave it and answers for it. What
    /// ties a certificate to its sender is then not asked for: its chain, its name, its days.
    pub trusted_offline: bool,
}

impl KeyDocument {
    /// A document that was fetched at this moment.
    pub fn fetched(bytes: impl Into<Bytes>, at: Timestamp) -> Self {
        Self { bytes: bytes.into(), fetched_at: at, trusted_offline: false }
    }
}

impl KeyRequest {
    /// The document at this address, however old the copy.
    pub fn for_url(url: impl Into<String>) -> Self {
        Self { url: url.into(), post: None, newer_than: None }
    }

    /// The same, but no copy from before this moment: it did not hold what is needed.
    pub fn newer_than(&self, moment: Timestamp) -> Self {
        Self { newer_than: Some(moment), ..self.clone() }
    }
}

/// Where there is no network: every key is unavailable.
#[derive(Debug, Clone, Copy)]
pub struct NoKeys;

#[async_trait]
impl KeySource for NoKeys {
    async fn fetch(&self, _: &KeyRequest) -> Result<KeyDocument, VerifyError> {
        Err(VerifyError::key_unavailable("this program fetches no keys"))
    }

    async fn confirm(&self, _: &str) -> Result<(), VerifyError> {
        Err(VerifyError::key_unavailable("this program calls no addresses"))
    }
}

/// One document for every address, for judging offline: what would have been fetched.
#[derive(Debug, Clone)]
pub struct FixedKeys(pub Bytes);

#[async_trait]
impl KeySource for FixedKeys {
    async fn fetch(&self, want: &KeyRequest) -> Result<KeyDocument, VerifyError> {
        let fetched_at = want.newer_than.unwrap_or(Timestamp::from_secs(0));
        Ok(KeyDocument { bytes: self.0.clone(), fetched_at, trusted_offline: true })
    }

    async fn confirm(&self, _: &str) -> Result<(), VerifyError> {
        Ok(())
    }
}
