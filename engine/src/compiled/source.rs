//! One entry of `sources:`, with its provider built and its secrets read.

use std::sync::Arc;
use std::time::Duration;

use hookward_core::{ActiveSecrets, JsonOptions, Provider, Reply, SecretSet, Timestamp};
use http::Method;

use super::limits::Limits;
use super::secret_file::SecretFile;

/// One sender: its path, its provider and what it may send.
#[derive(Debug)]
pub struct Source {
    /// The source's name in routes.yaml.
    pub name: Arc<str>,
    /// The exact URL path of the source, such as `/webhooks/stripe`.
    pub path: String,
    /// The name of the provider plugin, such as `stripe`.
    pub provider_name: &'static str,
    /// The provider, built with the source's `with:` block.
    pub provider: Arc<dyn Provider>,
    /// The HTTP methods that the source allows.
    pub methods: Vec<Method>,
    /// The media types that the provider's senders use; empty accepts any.
    pub media_types: &'static [&'static str],
    /// The names of the headers stored with each event, in lower case.
    pub keep_headers: Vec<String>,
    /// `reply:`, the answer to every accepted delivery; `None` where the provider makes it.
    pub reply: Option<Reply>,
    /// The secrets written under `secrets:`.
    pub secrets: SecretSet,
    /// `secret_file:`, for providers whose sender makes the secret up and sends it at set-up.
    pub secret_file: Option<Arc<SecretFile>>,
    /// Whether requests are verified; `false` with `provider: none`.
    pub verified: bool,
    /// How far a signed time may be from now; `None` leaves it to the provider.
    pub tolerance: Option<Duration>,
    /// `limits:` of the source over `defaults.limits`.
    pub limits: Limits,
    /// Which keys make two deliveries one where the sender does not sign its event id.
    pub dedupe: Dedupe,
    /// `json:`, how bodies are read as JSON, with the form field of the provider.
    pub json: JsonOptions,
    /// What happens to a verified body that must be parsed and cannot be.
    pub on_parse_error: OnInvalid,
}

impl Source {
    /// Returns the secrets that are valid at `now`.
    ///
    /// Secrets from routes.yaml win: the one in `secret_file` is used only where `secrets:` is
    /// empty, so that an operator can replace a secret that a sender set up.
    pub fn secrets_at(&self, now: Timestamp) -> ActiveSecrets<'_> {
        let from_file = self.secret_file.as_deref().filter(|_| self.secrets.all().is_empty());
        from_file.and_then(|file| file.active(now)).unwrap_or_else(|| self.secrets.active(now))
    }
}

/// `dedupe:`, which keys identify a delivery whose event id is an unsigned header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dedupe {
    /// The event id, and also the signed bytes: a replayed body with a new id is a duplicate.
    #[default]
    IdAndBody,
    /// The event id alone: a new id is a new delivery, whatever the body.
    Id,
}

/// `on_invalid:` and `on_parse_error:`, what happens to an invalid event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnInvalid {
    /// Answer 200 and store the event as invalid, for inspection.
    #[default]
    Keep,
    /// Answer 422 and store nothing.
    Reject,
}
