//! Dedupe keys: what makes two deliveries the same one. The store keeps each key unique per window;
//! the first delivery with a key owns it.

use std::collections::HashMap;

use hookward_core::store::{DedupeKey, DedupeKeyKind, UnsignedId};
use hookward_core::{Identity, ProviderEventId, Verified};
use sha2::{Digest, Sha256};

use crate::compiled::{Dedupe, Source};
use crate::routing::{DataAddress, DataValue};

/// How many events one signed body makes under different unsigned words. Senders do send one body
/// under two types; whoever captured a request can invent any number.
const MAX_EVENTS_PER_BODY: usize = 8;

/// The note of an event whose unsigned id another event had before.
const ID_REUSED_NOTE: &str = "an earlier event has the same id and other content; the sender does not sign the id, so both \
     are kept";

/// The note of an event that has none of the values of `dedupe.key`.
const NO_KEY_NOTE: &str = "the event has none of the values of `dedupe.key`, so no later delivery is \
                           recognised as its repetition";

/// What the store decides by whether an event is new.
#[derive(Debug, Default)]
pub(super) struct EventKeys {
    pub(super) keys: Vec<DedupeKey>,
    pub(super) variant_keys: Vec<[u8; 16]>,
    pub(super) unsigned_id: Option<UnsignedId>,
    /// Why the event cannot be recognised again, for the operator.
    pub(super) note: Option<&'static str>,
}

/// Makes the keys of a delivery's events, one event after the other.
///
/// A signed id in a batch counts wherever in the batch it stands: a sender may batch a repetition
/// differently, and so may an attacker who captured items that are signed one by one. The same id
/// again within one delivery is another event, so its key also has the number of earlier
/// occurrences. All other keys of a batch have the index of the item.
#[derive(Debug, Default)]
pub(super) struct DedupeKeyBuilder {
    /// How often each id, with its scope, has occurred in this delivery.
    occurrences: HashMap<(String, Option<String>), usize>,
}

impl DedupeKeyBuilder {
    /// The keys of the event at `index`, by the source's `dedupe:`. A signed id is a key by itself.
    /// Otherwise the bytes decide, together with the type and the scope of the id; an unsigned id
    /// only confirms a repetition.
    ///
    /// A replay token is a key of its own under every `dedupe:`, because the signature that holds
    /// it leaves the body open: it proves one delivery.
    pub(super) fn keys_of_event(
        &mut self,
        source: &Source,
        verified: &Verified,
        identity: &Identity,
        index: usize,
    ) -> EventKeys {
        let token = source.provider.replay_token(verified);
        let event = KeyedEvent { source, verified, identity, index };
        let mut found = EventKeys::default();
        match (&source.dedupe, &identity.event_id) {
            (Dedupe::None, _) | (Dedupe::Id, None) => {}
            (Dedupe::Key(addresses), _) => match event.custom_key(addresses) {
                Some(key) => found.keys.push(key),
                None => found.note = Some(NO_KEY_NOTE),
            },
            (Dedupe::Content, _) => event.add_content(&mut found),
            (Dedupe::Id | Dedupe::IdAndBody, Some(id)) if id.signed => {
                found.keys.push(self.id_key(&event, id));
            }
            // A captured signature with a token proves no second delivery, so nobody can claim ids
            // with it. The id counts, since a retry may have another signature in its body.
            (mode, Some(id)) if token.is_some() => {
                found.keys.push(self.id_key(&event, id));
                if *mode == Dedupe::IdAndBody {
                    found.keys.extend(event.content_key());
                }
            }
            (mode, Some(id)) => {
                found.unsigned_id = Some(event.unsigned_id(id));
                // Empty bodies are all equal, so that their content says nothing.
                if *mode == Dedupe::Id || event.body().is_empty() {
                    let parts: [&[u8]; 4] =
                        [b"id and body", id.value.as_bytes(), event.scope(), event.body()];
                    found.keys.push(event.key(DedupeKeyKind::Id, &parts));
                } else {
                    event.add_content(&mut found);
                }
            }
            // This sender repeats the same bytes for another event.
            (_, None) if !source.provider.dedupe_by_content() => {}
            (_, None) => event.add_content(&mut found),
        }
        if let Some(token) = token {
            // The first item of a batch gets the key of a single event: otherwise a captured token
            // would count again in a body that is made to look like a batch.
            let n = (event.is_in_batch() && index > 0).then_some(index);
            let hash = hash(source.name.as_bytes(), &[b"token", token.as_bytes()], n);
            found.keys.push(DedupeKey::new(DedupeKeyKind::Content, hash));
        }
        found
    }

    /// The key of an id that is unique within its scope.
    fn id_key(&mut self, event: &KeyedEvent<'_>, id: &ProviderEventId) -> DedupeKey {
        let scope = &event.identity.scope;
        let earlier = self.occurrences.entry((id.value.clone(), scope.clone())).or_default();
        let mut parts: Vec<&[u8]> = vec![b"id", id.value.as_bytes()];
        parts.extend(scope.as_ref().map(|scope| scope.as_bytes()));
        let n = event.is_in_batch().then_some(*earlier);
        *earlier += 1;
        DedupeKey::new(DedupeKeyKind::Id, hash(event.source.name.as_bytes(), &parts, n))
    }
}

/// One event of a proven delivery, as its keys are made from it.
struct KeyedEvent<'a> {
    source: &'a Source,
    verified: &'a Verified,
    identity: &'a Identity,
    index: usize,
}

impl KeyedEvent<'_> {
    fn is_in_batch(&self) -> bool {
        self.identity.item_pointer.is_some()
    }

    fn body(&self) -> &[u8] {
        self.verified.body().bytes()
    }

    fn scope(&self) -> &[u8] {
        self.identity.scope.as_deref().unwrap_or_default().as_bytes()
    }

    /// A key over these parts and, in a batch, the index of the item.
    fn key(&self, kind: DedupeKeyKind, parts: &[&[u8]]) -> DedupeKey {
        let n = self.is_in_batch().then_some(self.index);
        DedupeKey::new(kind, hash(self.source.name.as_bytes(), parts, n))
    }

    /// The key over type, scope and bytes; `None` for an empty body.
    fn content_key(&self) -> Option<DedupeKey> {
        let event_type = self.identity.event_type.as_deref().unwrap_or_default().as_bytes();
        let body = Some(self.body()).filter(|body| !body.is_empty())?;
        Some(match &self.identity.scope {
            None => self.key(DedupeKeyKind::Content, &[b"content", event_type, body]),
            Some(scope) => {
                let parts: [&[u8]; 4] = [b"content", event_type, scope.as_bytes(), body];
                self.key(DedupeKeyKind::Content, &parts)
            }
        })
    }

    /// Adds the key over the bytes and, where type or scope are not signed, those that bound how
    /// many events the bytes make.
    fn add_content(&self, found: &mut EventKeys) {
        let Some(content) = self.content_key() else { return };
        found.keys.push(content);
        if self.identity.names_are_signed {
            return;
        }
        // The body is hashed once for all of them.
        let body = self.key(DedupeKeyKind::Content, &[b"body", self.body()]).hash;
        let variant = |n| hash(b"", &[b"variant", &body], Some(n));
        found.variant_keys = (0..MAX_EVENTS_PER_BODY).map(variant).collect();
    }

    fn unsigned_id(&self, id: &ProviderEventId) -> UnsignedId {
        let parts: [&[u8]; 3] = [b"unsigned id", id.value.as_bytes(), self.scope()];
        UnsignedId::new(self.key(DedupeKeyKind::Id, &parts).hash, ID_REUSED_NOTE)
    }

    /// The key over the values at these addresses; `None` where the event has none of them. A value
    /// that is absent differs from an empty one.
    fn custom_key(&self, addresses: &[DataAddress]) -> Option<DedupeKey> {
        let values: Vec<_> = addresses.iter().map(|address| self.value(address)).collect();
        if values.iter().all(Option::is_none) {
            return None;
        }
        let mut parts: Vec<&[u8]> = vec![b"key"];
        for value in &values {
            parts.push(if value.is_some() { b"1" } else { b"0" });
            parts.push(value.as_deref().unwrap_or_default().as_bytes());
        }
        // Not by the index: a sender may batch a repetition differently.
        let hash = hash(self.source.name.as_bytes(), &parts, None);
        Some(DedupeKey::new(DedupeKeyKind::Id, hash))
    }

    fn value(&self, address: &DataAddress) -> Option<String> {
        match address {
            DataAddress::Pointer(pointer) => {
                let body = self.verified.body().exact_json().ok()?;
                let item = match &self.identity.item_pointer {
                    Some(item) => body.pointer(item)?,
                    None => body,
                };
                Some(DataValue::Json(item.pointer(pointer)?).to_text())
            }
            // From the request and not from the stored headers: a key needs no stored header.
            DataAddress::Header(name) => self.verified.header(name).map(str::to_owned),
            DataAddress::EventType => self.identity.event_type.clone(),
            DataAddress::EventId => self.identity.event_id.as_ref().map(|id| id.value.clone()),
            DataAddress::Source => Some(self.source.name.to_string()),
            DataAddress::ClientSubject => {
                let certificate = self.verified.head().client_certificate.as_ref()?;
                Some(certificate.subject.clone())
            }
            DataAddress::ClientNames => {
                let certificate = self.verified.head().client_certificate.as_ref()?;
                Some(certificate.joined_names())
            }
        }
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
