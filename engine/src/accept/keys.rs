//! What counts as the same delivery: the claims of an event on being the first of its kind.

use hookward_core::store::{DedupeKey, KeyKind};
use hookward_core::{EventName, Identity, Verified};
use sha2::{Digest, Sha256};

use crate::plan::{Dedupe, Source};

/// The claims of the n-th event of a delivery. An id inside the signed bytes is one claim; next to
/// an unsigned id stands a second one on the signed bytes, because whoever captured one request
/// could send it again under any id. No id: the bytes alone. Where the signature leaves the body
/// open, both could be changed, and what it does cover is a claim as well.
pub(crate) fn of(
    source: &Source,
    delivery: &Verified,
    identity: &Identity,
    index: usize,
) -> Vec<DedupeKey> {
    let by_id = |name: &EventName| DedupeKey {
        kind: KeyKind::Id,
        hash: hash(&[source.name.as_bytes(), b"id", name.value.as_bytes()], index, &identity.part),
    };
    let body = delivery.body().bytes();
    let by_content = || {
        let event_type = identity.event_type.as_deref().unwrap_or_default();
        let parts = [source.name.as_bytes(), b"content", event_type.as_bytes(), body];
        DedupeKey { kind: KeyKind::Content, hash: hash(&parts, index, &identity.part) }
    };
    let mut keys: Vec<DedupeKey> = identity.event_id.iter().map(by_id).collect();
    let enough = match &identity.event_id {
        Some(name) => name.signed || source.dedupe == Dedupe::Id,
        None => false,
    };
    if !enough && !body.is_empty() {
        keys.push(by_content());
    }
    if let Some(token) = source.provider.replay_token(delivery) {
        let parts = [source.name.as_bytes(), b"token", token.as_bytes()];
        keys.push(DedupeKey { kind: KeyKind::Content, hash: hash(&parts, index, &identity.part) });
    }
    keys
}

/// Each part with its length before it, so that no two lists of parts run together.
fn hash(parts: &[&[u8]], index: usize, part: &Option<String>) -> [u8; 16] {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    if part.is_some() {
        hasher.update((index as u64).to_be_bytes());
    }
    let mut out = [0; 16];
    out.iter_mut().zip(hasher.finalize()).for_each(|(to, from)| *to = from);
    out
}
