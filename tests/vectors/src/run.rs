//! Runs vectors through a provider and compares the outcome with the expected one. Called by
//! `hookward verify --vectors`, the conformance kit and the fuzz targets.

use std::time::Duration;

use hookward_core::keys::{FixedKeys, KeySource, NoKeys};
use hookward_core::{
    DeliveryOutcome, EventId, Identity, Proof, Provider, Receipt, ReceiptEvent, Reply, SecretSet,
    Timestamp, VerifyCx, VerifyError, prove,
};

use crate::format::{HandshakeVector, RecordedRequest, Vector, Verdict};

/// The result of running one vector through a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VectorOutcome {
    /// [`Verdict::Accept`] for a genuine event and for a genuine handshake.
    pub verdict: Verdict,
    /// The code of a rejection, such as `INVALID_SIGNATURE`; `None` for an accepted request.
    pub code: Option<&'static str>,
    /// Type of the first event; `None` for a rejection, a handshake or an event without a type.
    pub event_type: Option<String>,
    /// Id of the first event; `None` for a rejection, a handshake or an event without an id.
    pub event_id: Option<String>,
    /// The answer to an accepted request whose events have a route, and to a genuine handshake;
    /// `None` for a rejection.
    pub reply: Option<Reply>,
}

impl VectorOutcome {
    /// A rejection with this code.
    pub fn rejected(code: &'static str) -> Self {
        Self {
            verdict: Verdict::Reject,
            code: Some(code),
            event_type: None,
            event_id: None,
            reply: None,
        }
    }

    /// Whether this is what the vector expects. The event's type and id and the answer are compared
    /// only where the vector gives them; the code of a rejection is not compared.
    pub fn matches(&self, vector: &Vector) -> bool {
        let same = |expected: &Option<String>, found| expected.is_none() || expected == found;
        self.verdict == vector.expect
            && same(&vector.event_type, &self.event_type)
            && same(&vector.event_id, &self.event_id)
            && vector.reply.as_ref().is_none_or(|expected| {
                self.reply.as_ref().is_some_and(|reply| expected.matches(reply))
            })
    }
}

/// Proves and identifies the request of a vector. `now_default` is the file's clock in Unix
/// seconds, used where the vector has no `now_unix`.
///
/// A handshake that the provider answers with a status of 400 or above counts as rejected.
pub async fn run_vector(
    provider: &dyn Provider,
    vector: &Vector,
    now_default: i64,
) -> VectorOutcome {
    let accepted = |event_type, event_id, reply| VectorOutcome {
        verdict: Verdict::Accept,
        code: None,
        event_type,
        event_id,
        reply: Some(reply),
    };
    let Ok(secrets) = vector.secret_set() else {
        return VectorOutcome::rejected(VerifyError::InvalidSignature.code());
    };
    let now = Timestamp::from_secs(vector.now_unix.unwrap_or(now_default));
    let tolerance = vector.tolerance_s.map(Duration::from_secs);
    let keys = vector.inputs.fixed_keys();
    match prove_recorded(provider, &vector.request, &secrets, now, tolerance, keys.as_ref()).await {
        Err(e) => VectorOutcome::rejected(e.code()),
        Ok(Proof::Handshake(handshake)) if handshake.reply.status.as_u16() >= 400 => {
            VectorOutcome::rejected(VerifyError::InvalidSignature.code())
        }
        Ok(Proof::Handshake(handshake)) => accepted(None, None, handshake.reply),
        Ok(Proof::Genuine(delivery)) => {
            let identified = provider.identify(&delivery);
            let outcome = match &identified {
                Ok(events) if events.is_empty() => DeliveryOutcome::NoEvents,
                Ok(_) => DeliveryOutcome::Accepted,
                Err(_) => DeliveryOutcome::Invalid,
            };
            let events = identified.unwrap_or_default();
            let receipt_event = |event: &Identity| {
                ReceiptEvent::new(EventId::from_bytes([0; 16]))
                    .with_event_type(event.event_type.clone())
                    .with_event_id(event.event_id.as_ref().map(|id| id.value.clone()))
            };
            let receipt = Receipt::new(outcome, events.iter().map(receipt_event).collect());
            let reply = provider.reply(&delivery, &receipt);
            let first = events.into_iter().next().unwrap_or_default();
            accepted(first.event_type, first.event_id.map(|id| id.value), reply)
        }
    }
}

/// Proves the request of a handshake vector. Returns the provider's answer to a handshake or a
/// signed batch without events, or `None` where the provider treated the request as an ordinary event. `now_default` is the clock in Unix seconds.
///
/// # Errors
/// The [`VerifyError`] with which the provider rejects the request.
pub async fn run_handshake(
    provider: &dyn Provider,
    handshake: &HandshakeVector,
    now_default: i64,
) -> Result<Option<Reply>, VerifyError> {
    let secret = Some(handshake.secret.as_str()).filter(|s| !s.is_empty());
    let secrets =
        SecretSet::from_texts(secret).map_err(|e| VerifyError::invalid_format(e.to_string()))?;
    let now = Timestamp::from_secs(now_default);
    let keys = handshake.inputs.fixed_keys();
    match prove_recorded(provider, &handshake.request, &secrets, now, None, keys.as_ref()).await? {
        Proof::Handshake(handshake) => Ok(Some(handshake.reply)),
        // A signed batch without events is a probe: it is answered, and nothing is stored.
        Proof::Genuine(delivery) => Ok(match provider.identify(&delivery) {
            Ok(events) if events.is_empty() => {
                let receipt = Receipt::new(DeliveryOutcome::NoEvents, Vec::new());
                Some(provider.reply(&delivery, &receipt))
            }
            _ => None,
        }),
    }
}

async fn prove_recorded(
    provider: &dyn Provider,
    recorded: &RecordedRequest,
    secrets: &SecretSet,
    now: Timestamp,
    tolerance: Option<Duration>,
    keys: Option<&FixedKeys>,
) -> Result<Proof, VerifyError> {
    let request = recorded.to_request()?;
    let public_url = Some(recorded.public_url());
    let keys: &dyn KeySource = keys.map_or(&NoKeys, |fixed| fixed as &dyn KeySource);
    let cx = VerifyCx::new(now, secrets.active(now), keys)
        .with_tolerance(tolerance)
        .with_public_url(public_url);
    prove(provider, request, &cx).await
}
