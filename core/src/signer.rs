//! Signing the way a sender does: for `hookward send`, tests and the conformance kit.

use crate::body::Body;
use crate::clock::Timestamp;
use crate::request::Request;
use crate::secret::Secret;

/// Makes requests that the provider's own [`verify`](crate::Provider::verify) accepts.
pub trait Signer: Send + Sync {
    /// The full request for an event: method, target, headers and exact body.
    ///
    /// # Errors
    /// [`SignError`] where this event cannot be signed with this secret.
    fn sign(&self, draft: &EventDraft, secret: &Secret) -> Result<Request, SignError>;
}

/// An event that is not signed yet: the input of [`Signer::sign`].
///
/// ```
/// use hookward_core::{Body, EventDraft, Timestamp};
///
/// let url = "https://hooks.example.com/webhooks/shop?x=1";
/// let draft = EventDraft::new("order.paid", "evt_1", Body::new("{}"), url, Timestamp::default());
/// assert_eq!(draft.target(), "/webhooks/shop?x=1");
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct EventDraft {
    /// The provider's word for what happened.
    pub event_type: String,
    /// The provider's id of the event.
    pub event_id: String,
    /// The exact bytes to send.
    pub body: Body,
    /// The full public URL of the receiver, which some senders sign.
    pub url: String,
    /// The time that the signature names.
    pub now: Timestamp,
}

impl EventDraft {
    /// A draft to be sent to `url` and signed for the time `now`.
    pub fn new(
        event_type: impl Into<String>,
        event_id: impl Into<String>,
        body: Body,
        url: impl Into<String>,
        now: Timestamp,
    ) -> Self {
        let (event_type, event_id, url) = (event_type.into(), event_id.into(), url.into());
        Self { event_type, event_id, body, url, now }
    }

    /// Path and query of the URL, as they stand in the request line; `/` where the URL has no path.
    pub fn target(&self) -> &str {
        let after = self.url.split_once("://").map_or(self.url.as_str(), |(_, rest)| rest);
        after.find('/').and_then(|at| after.get(at..)).unwrap_or("/")
    }
}

/// Why a draft cannot be signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot sign: {reason}")]
#[non_exhaustive]
pub struct SignError {
    /// What prevents it. Never holds the secret.
    pub reason: String,
}

impl SignError {
    /// An error with this reason, which must not quote the secret.
    pub fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into() }
    }
}

/// A body to try a provider with: `hookward send` and the kit make events from it.
///
/// Its placeholders are filled in by [`render`](Self::render), so that each use is a fresh event:
/// `%ID%`, `%TYPE%`, `%UNIX%` (seconds) and `%TIME%` (RFC 3339).
///
/// ```
/// use hookward_core::{SampleEvent, Timestamp};
///
/// const SAMPLE: SampleEvent = SampleEvent::new("*", "evt_", r#"{"id":"%ID%","type":"%TYPE%"}"#);
/// let body = SAMPLE.render("order.paid", "evt_1", Timestamp::default());
/// assert_eq!(body, r#"{"id":"evt_1","type":"order.paid"}"#);
/// ```
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct SampleEvent {
    /// The event type it shows, or `*` for every type without a sample of its own.
    pub event_type: &'static str,
    /// How the provider's ids start, such as `evt_`; the rest is made up.
    pub id_prefix: &'static str,
    /// The body with its placeholders.
    pub body: &'static str,
}

impl SampleEvent {
    /// A sample; `const`, so that it can stand in
    /// [`ProviderConfig::SAMPLES`](crate::plugin::ProviderConfig::SAMPLES).
    pub const fn new(
        event_type: &'static str,
        id_prefix: &'static str,
        body: &'static str,
    ) -> Self {
        Self { event_type, id_prefix, body }
    }

    /// The body for an event of this type and id at the time `now`.
    pub fn render(&self, event_type: &str, id: &str, now: Timestamp) -> String {
        self.body
            .replace("%ID%", id)
            .replace("%TYPE%", event_type)
            .replace("%UNIX%", &now.as_secs().to_string())
            .replace("%TIME%", &now.to_string())
    }
}
