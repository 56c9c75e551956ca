//! Stage 2, identify: the provider names the events of a proven delivery. Pure.

use hookward_core::{Identity, Verified};

use crate::compiled::Source;

/// The longest event type and event id. Both are stored with each event and indexed.
pub(super) const MAX_NAME_BYTES: usize = 1024;

/// One event of a delivery, as the provider named it.
pub(super) struct IdentifiedEvent {
    pub(super) identity: Identity,
    /// Why the provider could not take the delivery apart; the identity is then empty.
    pub(super) problem: Option<String>,
}

/// Names the events of a delivery, in its order; none where the sender's batch is empty. A delivery
/// that the provider cannot take apart is one event with a problem, so that it is stored as invalid
/// and an operator can see it.
pub(super) fn identify(source: &Source, verified: &Verified) -> Vec<IdentifiedEvent> {
    let unidentified = |problem| vec![IdentifiedEvent { identity: Identity::default(), problem }];
    match source.provider.identify(verified) {
        Ok(identities) => identities.into_iter().map(without_unusable_id).collect(),
        Err(error) => unidentified(Some(error.to_string())),
    }
}

fn without_unusable_id(mut identity: Identity) -> IdentifiedEvent {
    // Nobody could search for a longer one, and each index entry would be as large. An empty one is
    // no id: all deliveries without one would be the same event.
    identity.event_id.take_if(|id| id.value.is_empty() || id.value.len() > MAX_NAME_BYTES);
    IdentifiedEvent { identity, problem: None }
}
