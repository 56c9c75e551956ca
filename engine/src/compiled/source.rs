//! One entry of `sources:`, with its provider built and its secrets read.

use std::sync::Arc;
use std::time::Duration;

use hookward_core::{
    ActiveSecrets, ContentEncoding, JsonOptions, Provider, Reply, SecretSet, Timestamp,
};
use http::Method;

use super::firewall::Firewall;
use super::limits::Limits;
use super::secret_file::SecretFile;
use crate::routing::DataAddress;

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
    /// Whether the client must prove a certificate in its TLS handshake.
    pub needs_client_certificate: bool,
    /// `client_subjects:`, patterns of which one must match a name of the client's certificate;
    /// empty admits every certificate.
    pub client_subjects: Vec<String>,
    /// `firewall:`, the rules for the head of a request.
    pub firewall: Firewall,
    /// What makes two deliveries the same event.
    pub dedupe: Dedupe,
    /// How long a delivery is a duplicate of an earlier one.
    pub dedupe_window: Duration,
    /// `json:`, how bodies are read as JSON, with the form field of the provider.
    pub json: JsonOptions,
    /// `decompress:`; `None`: compressed bodies are rejected.
    pub decompress: Option<Decompress>,
    /// Whether a GET carries an event in its query: `methods:` allows it, and the proof is a token.
    pub query_is_event: bool,
    /// What happens to a verified body that must be parsed and cannot be.
    pub on_parse_error: OnInvalid,
}

impl Source {
    /// The maximum size of a body, in bytes: the lower one of `limits.body` and
    /// `firewall.max_size`.
    pub fn max_body_bytes(&self) -> usize {
        self.firewall.max_size.map_or(self.limits.body, |max| max.min(self.limits.body))
    }

    /// Returns the secrets that are valid at `now`.
    ///
    /// Secrets from routes.yaml win: the one in `secret_file` is used only where `secrets:` is
    /// empty, so that an operator can replace a secret that a sender set up.
    pub fn secrets_at(&self, now: Timestamp) -> ActiveSecrets<'_> {
        let from_file = self.secret_file.as_deref().filter(|_| self.secrets.all().is_empty());
        from_file.and_then(|file| file.active(now)).unwrap_or_else(|| self.secrets.active(now))
    }
}

/// `decompress:`, the content encodings that a source's sender uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decompress {
    /// The encodings that are accepted.
    pub encodings: Vec<ContentEncoding>,
    /// Whether the sender signs the content instead of the compressed bytes.
    pub signs_content: bool,
}

/// `dedupe:`, what makes two deliveries the same event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Dedupe {
    /// The id where the sender signs it. An unsigned id only confirms that equal bytes are a
    /// repetition; without a signed id, type and bytes decide.
    #[default]
    IdAndBody,
    /// The id, and never the bytes alone: a new id is a new event, whatever the body. A delivery
    /// without an id is a new event.
    Id,
    /// Type and bytes, whatever the id.
    Content,
    /// Nothing: each delivery is an event.
    None,
    /// The values at these addresses.
    Key(Vec<DataAddress>),
}

impl Dedupe {
    /// The headers that are part of the key, in lower case.
    pub(crate) fn headers(&self) -> impl Iterator<Item = &str> {
        let addresses = if let Self::Key(addresses) = self { addresses.as_slice() } else { &[] };
        addresses.iter().filter_map(|address| match address {
            DataAddress::Header(name) => Some(name.as_str()),
            _ => None,
        })
    }
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
