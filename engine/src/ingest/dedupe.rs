//! Dedupe keys: what makes two deliveries the same one. The store keeps each key unique per window;
//! the first delivery with a key owns it.

use std::collections::HashMap;

use hookward_core::store::{DedupeKey, DedupeKeyKind};
use hookward_core::{Identity, Verified};
use sha2::{Digest, Sha256};

use crate::compiled::{Dedupe, Source};

/// Makes the keys of a delivery's events, one event after the other.
///
/// An id in a batch counts wherever in the batch it stands: a sender may batch a repetition
/// differently, and so may an attacker who captured items that are signed one by one. The same id
/// again within one delivery is another event, so its key also has the number of earlier
/// occurrences.
#[derive(Debug, Default)]
pub(super) struct DedupeKeyBuilder {
    /// How often each id, with its scope, has occurred in this delivery.
    occurrences: HashMap<(String, Option<String>), usize>,
    /// The hash of the whole body, for the keys of batched events.
    body_hash: Option<[u8; 16]>,
}

impl DedupeKeyBuilder {
    /// The keys of the event at `index`. Up to three:
    ///
    /// - its id, within its scope;
    /// - its type and bytes, where the id is not signed or absent: whoever captured one request
    ///   could send it again under any id;
    /// - its replay token, where the signature leaves the body open and both of the others could be
    ///   changed.
    pub(super) fn keys_of_event(
        &mut self,
        source: &Source,
        verified: &Verified,
        identity: &Identity,
        index: usize,
    ) -> Vec<DedupeKey> {
        let in_batch = identity.item_pointer.is_some();
        let key = |kind, parts: &[&[u8]], n: usize| {
            DedupeKey::new(kind, hash(source.name.as_bytes(), parts, in_batch.then_some(n)))
        };
        let mut keys = Vec::with_capacity(2);
        if let Some(id) = &identity.event_id {
            let mut parts: Vec<&[u8]> = vec![b"id", id.value.as_bytes()];
            parts.extend(identity.scope.as_ref().map(|scope| scope.as_bytes()));
            let earlier =
                self.occurrences.entry((id.value.clone(), identity.scope.clone())).or_default();
            keys.push(key(DedupeKeyKind::Id, &parts, *earlier));
            *earlier += 1;
        }
        let id_suffices = match &identity.event_id {
            Some(id) => id.signed || source.dedupe == Dedupe::Id,
            // This sender repeats the same bytes for another event.
            None => !source.provider.dedupe_by_content(),
        };
        let body = verified.body().bytes();
        // Empty bodies are all equal, so their content says nothing.
        if !id_suffices && !body.is_empty() {
            let event_type = identity.event_type.as_deref().unwrap_or_default();
            // Hashed once for a batch: its size times its items would hold a request for seconds.
            let content: &[u8] = match in_batch {
                true => self.body_hash.get_or_insert_with(|| hash(b"", &[body], None)),
                false => body,
            };
            keys.push(key(
                DedupeKeyKind::Content,
                &[b"content", event_type.as_bytes(), content],
                index,
            ));
        }
        if let Some(token) = source.provider.replay_token(verified) {
            // The first item of a batch gets the key of a single event: otherwise a captured token
            // would count again in a body that is made to look like a batch.
            let n = (in_batch && index > 0).then_some(index);
            let hash = hash(source.name.as_bytes(), &[b"token", token.as_bytes()], n);
            keys.push(DedupeKey::new(DedupeKeyKind::Content, hash));
        }
        keys
    }
}

/// The first 16 bytes of a SHA-256. Each part is preceded by its length, so that two lists of parts
/// never hash the same text. Part of the on-disk format; changing it needs a migration.
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
