//! Where a provider's public keys come from: the trait [`KeySource`], its requests and documents,
//! and two implementations without a network. Public as a part of [`crate::keys`].

use std::fmt;
use std::net::IpAddr;

use async_trait::async_trait;
use bytes::Bytes;

use crate::clock::Timestamp;
use crate::verify_error::VerifyError;

/// Fetches documents that contain public keys.
///
/// An implementation speaks https to public addresses alone, follows no redirects, bounds time and
/// size, caches documents, shares one fetch among concurrent callers, and limits how often it
/// fetches.
#[async_trait]
pub trait KeySource: fmt::Debug + Send + Sync {
    /// Returns the requested document, fetched now or from the cache.
    ///
    /// # Errors
    /// [`VerifyError::KeyUnavailable`], and nothing else: the sender gets 503 and tries again.
    async fn fetch(&self, request: &KeyRequest) -> Result<KeyDocument, VerifyError>;

    /// Calls a URL once with GET, which is how some senders want a subscription confirmed.
    ///
    /// # Errors
    /// [`VerifyError::KeyUnavailable`] where the call fails or its status is not 2xx.
    async fn confirm(&self, url: &str) -> Result<(), VerifyError>;
}

/// Which document a provider needs, and how fresh.
///
/// ```
/// use hookward_core::Timestamp;
/// use hookward_core::keys::KeyRequest;
///
/// let request = KeyRequest::for_url("https://keys.example.com/jwks.json");
/// // The cached copy does not have the key that a token names: ask for a newer one.
/// let newer = request.newer_than(Timestamp::from_secs(1_760_000_000));
/// assert_eq!(newer.of_any_age(), request);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct KeyRequest {
    /// The document's https URL. The provider has checked that its host belongs to the sender.
    pub url: String,
    /// The JSON body of a POST, for services that do not answer GET.
    pub post: Option<KeyRequestBody>,
    /// Set where the copy fetched before this time lacks the needed key. A source that fetched
    /// within the last minute may still answer with that copy, so that made-up keys cause no flood
    /// of fetches.
    pub newer_than: Option<Timestamp>,
    /// The address of the client whose request needs the document; the engine sets it. A source
    /// that limits how many new documents it fetches shares that limit by client, so that made-up
    /// documents of one client do not keep those of others from being fetched.
    pub client: Option<IpAddr>,
}

/// The JSON body of a [`KeyRequest`]. May hold the credentials of an account, so `Debug` hides it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct KeyRequestBody(pub Bytes);

impl fmt::Debug for KeyRequestBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl KeyRequest {
    /// A GET of this URL; a cached copy of any age will do.
    pub fn for_url(url: impl Into<String>) -> Self {
        Self { url: url.into(), post: None, newer_than: None, client: None }
    }

    /// The same request as a POST of this JSON body.
    #[must_use]
    pub fn with_post(self, body: impl Into<Bytes>) -> Self {
        Self { post: Some(KeyRequestBody(body.into())), ..self }
    }

    /// The same request for a copy fetched after `time`, because the copy from before it lacks the
    /// key.
    #[must_use]
    pub fn newer_than(&self, time: Timestamp) -> Self {
        Self { newer_than: Some(time), ..self.clone() }
    }

    /// The same request on behalf of a client.
    #[must_use]
    pub fn for_client(&self, client: Option<IpAddr>) -> Self {
        Self { client, ..self.clone() }
    }

    /// The same request for a copy of any age and any client: what a cache knows the document by.
    #[must_use]
    pub fn of_any_age(&self) -> Self {
        Self { newer_than: None, client: None, ..self.clone() }
    }
}

/// A document with public keys in it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct KeyDocument {
    /// The document's bytes: JSON or PEM, public either way.
    pub bytes: Bytes,
    /// When the document was fetched.
    pub fetched_at: Timestamp,
    /// True for a document that was given on the command line or by a test and not fetched. Whoever
    /// gave it vouches for it, so a certificate's chain, host and validity are not checked.
    pub trusted_offline: bool,
}

impl KeyDocument {
    /// A document fetched at this time; its certificates are checked in full.
    pub fn fetched(bytes: impl Into<Bytes>, at: Timestamp) -> Self {
        Self { bytes: bytes.into(), fetched_at: at, trusted_offline: false }
    }
}

/// A [`KeySource`] without a network: every key is unavailable. For providers that need none, and
/// for tests.
#[derive(Debug, Clone, Copy)]
pub struct NoKeys;

#[async_trait]
impl KeySource for NoKeys {
    async fn fetch(&self, _: &KeyRequest) -> Result<KeyDocument, VerifyError> {
        Err(VerifyError::key_unavailable("this program does not fetch keys"))
    }

    async fn confirm(&self, _: &str) -> Result<(), VerifyError> {
        Err(VerifyError::key_unavailable("this program does not call URLs"))
    }
}

/// A [`KeySource`] that serves one document for every URL, for verifying offline. The document
/// counts as [trusted](KeyDocument::trusted_offline).
#[derive(Debug, Clone)]
pub struct FixedKeys(pub Bytes);

#[async_trait]
impl KeySource for FixedKeys {
    async fn fetch(&self, request: &KeyRequest) -> Result<KeyDocument, VerifyError> {
        let fetched_at = request.newer_than.unwrap_or(Timestamp::from_secs(0));
        Ok(KeyDocument { bytes: self.0.clone(), fetched_at, trusted_offline: true })
    }

    async fn confirm(&self, _: &str) -> Result<(), VerifyError> {
        Ok(())
    }
}
