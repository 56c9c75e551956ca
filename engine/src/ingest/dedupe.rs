//! What counts as the same delivery: the claims of an event on being the first of its kind.

use std::collections::HashMap;

use hookward_core::store::{DedupeKey, KeyKind};
use hookward_core::{Identity, Verified};
use sha2::{Digest, Sha256};

use crate::compiled::{Dedupe, Source};

/// Makes the claims of a delivery's events, one after the other. An id counts wherever in a batch it
/// stands, because a sender may batch a repetition otherwise, and so may whoever captured items that
/// are signed one by one. The same id again in one delivery is told by how often it came before.
#[derive(Debug, Default)]
pub(crate) struct DedupeKeys {
    came: HashMap<(String, Option<String>), usize>,
}

impl DedupeKeys {
    /// The claims of the n-th event. An id inside the signed bytes is one claim; next to an unsigned id
    /// stands a second one on the signed bytes, because whoever captured one request could send it again
    /// under any id. No id: the bytes alone, if they tell. Where the signature leaves the body open, both could be
    /// changed, and what it does cover is a claim as well.
    pub(crate) fn of(
        &mut self,
        source: &Source,
        delivery: &Verified,
        identity: &Identity,
        index: usize,
    ) -> Vec<DedupeKey> {
        let in_batch = identity.part.is_some();
        let key = |kind, parts: &[&[u8]], n: usize| DedupeKey {
            kind,
            hash: hash(source.name.as_bytes(), parts, in_batch.then_some(n)),
        };
        let mut keys = Vec::with_capacity(2);
        if let Some(name) = &identity.event_id {
            let scope = source.provider.scope(delivery, identity);
            let mut parts: Vec<&[u8]> = vec![b"id", name.value.as_bytes()];
            parts.extend(scope.as_ref().map(|scope| scope.as_bytes()));
            let came = self.came.entry((name.value.clone(), scope.clone())).or_default();
            keys.push(key(KeyKind::Id, &parts, *came));
            *came += 1;
        }
        let enough = match &identity.event_id {
            Some(name) => name.signed || source.dedupe == Dedupe::Id,
            // The same words are said again of another event.
            None => !source.provider.dedupe_by_content(),
        };
        let body = delivery.body().bytes();
        if !enough && !body.is_empty() {
            let event_type = identity.event_type.as_deref().unwrap_or_default();
            keys.push(key(KeyKind::Content, &[b"content", event_type.as_bytes(), body], index));
        }
        if let Some(token) = source.provider.replay_token(delivery) {
            // One token is of one delivery, whether that was a batch or was made to look like none.
            let n = (in_batch && index > 0).then_some(index);
            let hash = hash(source.name.as_bytes(), &[b"token", token.as_bytes()], n);
            keys.push(DedupeKey { kind: KeyKind::Content, hash });
        }
        keys
    }
}

/// Each part with its length before it, so that no two lists of parts run together.
fn hash(source: &[u8], parts: &[&[u8]], n: Option<usize>) -> [u8; 16] {
    let mut hasher = Sha256::new();
    for part in [source].iter().chain(parts) {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    if let Some(n) = n {
        hasher.update((n as u64).to_be_bytes());
    }
    let mut out = [0; 16];
    out.iter_mut().zip(hasher.finalize()).for_each(|(to, from)| *to = from);
    out
}
