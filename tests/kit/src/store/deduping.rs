//! STORE-31 to STORE-33: unsigned ids, variant keys, and keys that outlive their events.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use hookward_core::EventId;
use hookward_core::store::{
    Acceptance, DedupeKeyKind, KeepKeys, NewDelivery, PurgeRequest, Settlement, UnsignedId,
};

use super::Suite;
use super::sample::{delivery, key, now};
use super::working::after;

const NOTE: &str = "another event had this id";

/// A delivery of these bytes and this type under an unsigned id, as the engine builds it: a content
/// key over type and bytes, and three variant keys over the bytes.
fn unsigned(id: &str, event_type: &str, bytes: &str) -> NewDelivery {
    let mut delivery = delivery(id);
    let event = &mut delivery.events[0];
    event.event_type = Some(event_type.to_owned());
    event.keys = vec![key(DedupeKeyKind::Content, &format!("{event_type} {bytes}"))];
    let variant = |n| key(DedupeKeyKind::Content, &format!("variant {n} {bytes}")).hash;
    event.variant_keys = (0..3).map(variant).collect();
    event.unsigned_id = Some(UnsignedId::new(key(DedupeKeyKind::Id, id).hash, NOTE));
    delivery
}

#[allow(missing_docs, reason = "the rules are documented in `spec`")]
impl Suite {
    /// The event of the delivery if it is new, and else the event that it repeats and by which key.
    async fn send(&self, delivery: NewDelivery) -> Result<EventId, (EventId, DedupeKeyKind)> {
        let id = delivery.events[0].id;
        match &self.store.accept(vec![delivery]).await.unwrap()[0] {
            Acceptance::Accepted { .. } => Ok(id),
            Acceptance::Duplicate { of, by, .. } => Err((*of, *by)),
            Acceptance::DuplicateOfPurged { .. } => panic!("nothing was purged"),
        }
    }

    async fn notes(&self, event: EventId) -> Option<Vec<String>> {
        Some(self.store.browse()?.show(event).await.unwrap().unwrap().notes)
    }

    pub async fn store_31_confirms_by_an_unsigned_id(self) {
        let first = self.send(unsigned("a", "push", "1")).await.unwrap();
        // The same bytes: the id says that it is a repetition and no coincidence, whatever its type.
        assert_eq!(self.send(unsigned("a", "push", "1")).await, Err((first, DedupeKeyKind::Id)));
        assert_eq!(self.send(unsigned("a", "other", "1")).await, Err((first, DedupeKeyKind::Id)));
        let by_content = self.send(unsigned("b", "push", "1")).await;
        assert_eq!(by_content, Err((first, DedupeKeyKind::Content)));
        // Other bytes: another event, although somebody has claimed its id before.
        let real = self.send(unsigned("a", "push", "2")).await.unwrap();
        assert_eq!(self.send(unsigned("a", "push", "2")).await, Err((real, DedupeKeyKind::Id)));
        assert!(self.notes(first).await.is_none_or(|notes| notes.is_empty()));
        assert!(self.notes(real).await.is_none_or(|notes| notes == [NOTE]));
        if let Some(browse) = self.store.browse() {
            let listed = browse.show(first).await.unwrap().unwrap().content_duplicates;
            assert_eq!(listed.len(), 1, "only the delivery with another id: {listed:?}");
        }
        // An id that is older than the window confirms nothing, and is not noted.
        let late =
            unsigned("a", "push", "3").with_received_at(after(60)).with_dedupe_since(after(1));
        let late = self.send(late).await.unwrap();
        assert!(self.notes(late).await.is_none_or(|notes| notes.is_empty()));
    }

    pub async fn store_32_bounds_events_by_variant_keys(self) {
        let first = self.send(unsigned("a", "t0", "1")).await.unwrap();
        for n in 1..3 {
            let variant = unsigned(&format!("a{n}"), &format!("t{n}"), "1");
            assert!(self.send(variant).await.is_ok(), "variant {n}");
        }
        for n in 3..20 {
            let variant = unsigned(&format!("a{n}"), &format!("t{n}"), "1");
            assert_eq!(self.send(variant).await, Err((first, DedupeKeyKind::Content)), "{n}");
        }
        assert!(self.send(unsigned("b", "t3", "2")).await.is_ok(), "other bytes have their own");
        // Within one call and one delivery as well.
        let one = |n: usize| unsigned(&format!("c{n}"), &format!("t{n}"), "3").events.remove(0);
        let batch = delivery("x").with_events((0..5).map(one).collect());
        let answers = self.store.accept(vec![batch]).await.unwrap();
        assert!(matches!(answers[0], Acceptance::Accepted { known: 2 }), "{answers:?}");
        // Past the window, the keys are free again.
        let late = unsigned("d", "t9", "1").with_received_at(after(60)).with_dedupe_since(after(1));
        assert!(self.send(late).await.is_ok());
    }

    pub async fn store_33_keeps_keys_after_a_purge(mut self) {
        let kept = |at| unsigned("a", "push", "1").with_received_at(at);
        self.send(kept(now())).await.unwrap();
        self.send(unsigned("b", "push", "2").with_received_at(after(50))).await.unwrap();
        let mut other = delivery("c");
        other.source = "other".into();
        self.send(other.clone()).await.unwrap();
        for job in self.claim(after(50), 9).await {
            self.settle(&job, Settlement::Done).await;
        }
        let purge = |since| {
            let keep = vec![KeepKeys::new("partner", since)];
            PurgeRequest::new(after(60), after(60), 9).with_keep_keys(keep)
        };
        assert_eq!(self.store.purge(purge(now())).await.unwrap(), 3);
        for restart in [false, true] {
            if restart && self.store.durable() {
                self.restart(after(61)).await;
            }
            for (repetition, by) in [
                (unsigned("a", "push", "1"), DedupeKeyKind::Id),
                (unsigned("a9", "push", "1"), DedupeKeyKind::Content),
                (unsigned("b", "push", "2"), DedupeKeyKind::Id),
            ] {
                let answers = self.store.accept(vec![repetition.clone()]).await.unwrap();
                let Acceptance::DuplicateOfPurged { by: found } = &answers[0] else {
                    panic!("accepted as new: {answers:?}");
                };
                assert_eq!(*found, by);
            }
        }
        assert!(self.claim(after(70), 9).await.is_empty(), "a repetition makes no job");
        assert!(self.send(other).await.is_ok(), "the keys of other sources go with their events");
        // The window of the delivery counts for kept keys, too.
        let late = kept(after(70)).with_dedupe_since(after(1));
        let new = self.send(late).await.unwrap();
        let again = kept(after(71)).with_dedupe_since(after(1));
        assert_eq!(self.send(again).await, Err((new, DedupeKeyKind::Id)));
        // Kept keys go once they are older than every `since`.
        self.store.purge(purge(after(51))).await.unwrap();
        assert!(self.send(unsigned("b", "push", "2")).await.is_ok());
    }
}
