//! PROVIDER-19: the answer to an accepted delivery.

use hookward_core::{DeliveryOutcome, EventId, Identity, Proof, Receipt, ReceiptEvent};

use super::genuine::GenuineRequest;
use super::{BuiltSubject, Checked, ensure};

const OUTCOMES: [DeliveryOutcome; 4] = [
    DeliveryOutcome::Accepted,
    DeliveryOutcome::Unrouted,
    DeliveryOutcome::Invalid,
    DeliveryOutcome::NoEvents,
];

pub(super) async fn deliveries_are_accepted(
    built: &BuiltSubject<'_>,
    genuine_requests: &[GenuineRequest],
) -> Checked {
    let secret = built.subject.secret.as_str();
    for genuine in genuine_requests {
        let proof = genuine.prove(built, genuine.request.clone()).await;
        let Ok(Proof::Genuine(delivery)) = proof else { continue };
        let identities = built.provider.identify(&delivery).unwrap_or_default();
        let receipt_event = |identity: &Identity| {
            ReceiptEvent::new(EventId::from_bytes([7; 16]))
                .with_event_type(identity.event_type.clone())
                .with_event_id(identity.event_id.as_ref().map(|id| id.value.clone()))
        };
        for outcome in OUTCOMES {
            let events = match outcome {
                DeliveryOutcome::NoEvents => Vec::new(),
                _ => identities.iter().map(receipt_event).collect(),
            };
            let reply = built.provider.reply(&delivery, &Receipt::new(outcome, events));
            ensure(reply.status.is_success(), || {
                format!("{} that is {outcome:?} is answered with {}", genuine.label, reply.status)
            })?;
            ensure(!format!("{reply:?}").contains(secret), || {
                format!("the answer to {} shows the secret", genuine.label)
            })?;
        }
    }
    Ok(())
}
