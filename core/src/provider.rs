//! A provider: one kind of sender. Implemented by provider crates, called through
//! [`crate::prove`] and, for what is proven, by the engine.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

use crate::body::Body;
use crate::clock::Timestamp;
use crate::handshake::Handshake;
use crate::key_source::KeySource;
use crate::prove::Verified;
use crate::reply::{Receipt, Reply};
use crate::request::{Head, Request};
use crate::secret::{ActiveSecrets, Secret};
use crate::verify_error::VerifyError;

/// Knows how a sender signs and what it calls things.
#[async_trait]
pub trait Provider: fmt::Debug + Send + Sync + 'static {
    /// Rejects, from the head alone, a request that cannot carry a valid signature: the signature is
    /// missing or malformed. Must be cheap, because it runs before the body is read.
    ///
    /// The engine and [`crate::prove`] run it exactly once per request, through
    /// [`crate::precheck`] and before [`Provider::verify`]. `verify` does not rely on it: it
    /// rejects the same heads with the same code (PROVIDER-14).
    fn precheck(&self, head: &Head) -> Result<(), VerifyError>;

    /// Proves that the sender wrote exactly these bytes, or recognises a set-up handshake.
    async fn verify(
        &self,
        request: &Request,
        cx: &VerifyCx<'_>,
    ) -> Result<Verification, VerifyError>;

    /// Names what a proven delivery carries: one identity per event, several when the sender
    /// batches. Pure.
    fn identify(&self, delivery: &Verified) -> Result<Vec<Identity>, IdentifyError>;

    /// A text that the proof covers and that no other delivery carries, for senders whose signature
    /// leaves the body open. Whoever captured a request could send its signature again with another body and
    /// another id; the engine takes a second delivery with this text for a duplicate of the first.
    fn replay_token(&self, _delivery: &Verified) -> Option<String> {
        None
    }

    /// What an event's id is unique within, where it is not the source alone: a sender that relays for
    /// others gives each of them ids of its own. Two events are one only where this is the same too.
    fn scope(&self, _delivery: &Verified, _event: &Identity) -> Option<String> {
        None
    }

    /// Whether two deliveries with the same bytes and without an id are one that came twice. Not so
    /// where a sender tells no more than that something changed: it says the same again when that
    /// changes again.
    fn dedupe_by_content(&self) -> bool {
        true
    }

    /// The answer once everything is stored.
    fn reply(&self, receipt: &Receipt) -> Reply {
        Reply::received(receipt)
    }

    /// Whether a configured secret can be used at all (decodes, has the right length). The text
    /// says what is wrong and never holds the secret.
    fn check_secret(&self, _secret: &Secret) -> Result<(), String> {
        Ok(())
    }

    /// Whether this configuration proves everything without a secret, although its sender's usual way
    /// needs one: by tokens that are signed with a public key.
    fn proves_without_secret(&self) -> bool {
        false
    }

    /// What this configuration leaves open, each as one sentence that ends with what to set: shown as
    /// warnings by `hookward check`. A token that anybody of the sender's other customers could get,
    /// an audience that is not named.
    fn config_warnings(&self) -> Vec<String> {
        Vec::new()
    }

    /// Signs the way the sender does, where we can: for `hookward send`, tests and the kit.
    fn signer(&self) -> Option<&dyn Signer> {
        None
    }
}

/// What a proof may use besides the request.
#[derive(Debug, Clone, Copy)]
pub struct VerifyCx<'a> {
    /// The present moment.
    pub now: Timestamp,
    /// The secrets that count now.
    pub secrets: ActiveSecrets<'a>,
    /// How far a signed time may be from now, either way; `None`: as the provider documents.
    pub tolerance: Option<Duration>,
    /// Scheme and host that senders call, such as `https://hooks.example.com`; some sign it.
    pub public_url: Option<&'a str>,
    /// Where keys come from that live with the sender.
    pub keys: &'a dyn KeySource,
}

/// What a proof found.
#[derive(Debug, Clone)]
pub enum Verification {
    /// Written by the sender; this secret matched (its index in the configuration).
    Genuine {
        /// Index of the matching secret.
        secret: usize,
    },
    /// A set-up handshake with its answer. There is no event in it.
    Handshake(Handshake),
}

/// The provider's id of an event, and whether the signature covers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderEventId {
    /// The id. Never empty.
    pub value: String,
    /// Whether changing it would break the proof. An unsigned id is not enough to tell a
    /// repetition, so the engine then also looks at the bytes.
    pub signed: bool,
}

/// One event of a delivery.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// The provider's own word for what happened; `None` where it is not there.
    pub event_type: Option<String>,
    /// The provider's id; `None` where it gives none.
    pub event_id: Option<ProviderEventId>,
    /// In a batch: JSON pointer to the event's own item.
    pub part: Option<String>,
}

/// A proven delivery that cannot be taken apart.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct IdentifyError {
    /// What could not be read, and where; never content.
    pub reason: String,
}

/// An event to be signed the way its sender does.
#[derive(Debug, Clone)]
pub struct Draft {
    /// The provider's word for what happened.
    pub event_type: String,
    /// The provider's id.
    pub event_id: String,
    /// The exact bytes.
    pub body: Body,
    /// The URL it will be sent to, as the receiver's public one.
    pub url: String,
    /// The moment to sign for.
    pub now: Timestamp,
}

impl Draft {
    /// Path and query of the URL: what the request line says.
    pub fn target(&self) -> &str {
        let after = self.url.split_once("://").map_or(self.url.as_str(), |(_, rest)| rest);
        after.find('/').and_then(|at| after.get(at..)).unwrap_or("/")
    }
}

/// Why a draft cannot be signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot sign: {reason}")]
pub struct SignError {
    /// What stands in the way; never the secret.
    pub reason: String,
}

/// Signs as the sender does.
pub trait Signer: Send + Sync {
    /// The full request: method, headers, exact body.
    fn sign(&self, draft: &Draft, secret: &Secret) -> Result<Request, SignError>;
}

/// An event for trying things out. `%ID%`, `%UNIX%`, `%TIME%` (RFC 3339) and `%TYPE%` in the body
/// are filled in when it is used, so that each is a fresh event.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// The type, or `*` for a body that serves every type without a sample of its own.
    pub event_type: &'static str,
    /// The start of its ids, such as `evt_`; the rest is made up.
    pub id_prefix: &'static str,
    /// The body with its placeholders.
    pub body: &'static str,
}

impl Sample {
    /// The body for an event of this type and id at this moment.
    pub fn render(&self, event_type: &str, id: &str, now: Timestamp) -> String {
        self.body
            .replace("%ID%", id)
            .replace("%TYPE%", event_type)
            .replace("%UNIX%", &now.as_secs().to_string())
            .replace("%TIME%", &now.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_is_used_as_dyn() {
        fn takes(_: Option<&dyn Provider>, _: Option<&dyn Signer>) {}
        takes(None, None);
    }
}
