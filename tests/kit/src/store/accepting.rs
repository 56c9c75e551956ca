//! STORE-1 to STORE-9: deliveries are accepted once, and returned as they were received.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::time::Duration;

use hookward_core::store::{Acceptance, DedupeKeyKind, EventStatus, NewDelivery, NewStatus};
use hookward_core::{Body, EventId};

use super::sample::{answer, delivery, event, key, now, with_jobs};
use super::{Suite, claim_request};

fn accepted(acceptance: &Acceptance) -> bool {
    matches!(acceptance, Acceptance::Accepted { .. })
}

#[track_caller]
fn assert_duplicate(acceptance: &Acceptance, first: EventId, word: &str, kind: DedupeKeyKind) {
    let Acceptance::Duplicate { answer: stored, of, by } = acceptance else {
        panic!("accepted as new: {acceptance:?}");
    };
    assert_eq!(*stored, answer(word), "the stored answer, byte for byte");
    assert_eq!((*of, *by), (first, kind));
}

/// A repetition of the delivery: its events have new ids of ours, and its own answer differs.
fn repetition(id: &str) -> NewDelivery {
    delivery(id).with_answer(answer("another"))
}

#[allow(missing_docs, reason = "the rules are documented in `spec`")]
impl Suite {
    pub async fn store_1_answers_a_repetition_byte_for_byte(self) {
        let first = self.accept(delivery("a")).await[0];
        let answers = self.store.accept(vec![repetition("a")]).await.unwrap();
        assert_duplicate(&answers[0], first, "a", DedupeKeyKind::Id);
        assert_eq!(self.claim(now(), 9).await.len(), 1, "a repetition makes no job");
    }

    pub async fn store_2_accepts_a_key_once_within_one_call(self) {
        let first = delivery("a");
        let id = first.events[0].id;
        let other = delivery("b");
        let answers = self.store.accept(vec![first, repetition("a"), other]).await.unwrap();
        assert!(accepted(&answers[0]) && accepted(&answers[2]), "{answers:?}");
        assert_duplicate(&answers[1], id, "a", DedupeKeyKind::Id);
        // And within one delivery.
        let mut twice = delivery("c");
        twice.events.push(event("c"));
        let answers = self.store.accept(vec![twice]).await.unwrap();
        assert!(matches!(answers[0], Acceptance::Accepted { known: 1 }), "{answers:?}");
        assert_eq!(self.claim(now(), 9).await.len(), 3);
    }

    pub async fn store_3_accepts_a_key_once_among_concurrent_calls(self) {
        let callers: Vec<_> = (0..40)
            .map(|n| {
                let store = self.store.clone();
                let delivery = delivery(&format!("{}", n % 4));
                tokio::spawn(async move { store.accept(vec![delivery]).await.unwrap() })
            })
            .collect();
        let mut new = 0;
        for caller in callers {
            match &caller.await.unwrap()[0] {
                Acceptance::Accepted { .. } => new += 1,
                Acceptance::Duplicate { answer: stored, .. } => {
                    assert_eq!(stored.status, answer("").status);
                }
                Acceptance::DuplicateOfPurged { .. } => panic!("nothing was purged"),
            }
        }
        assert_eq!(new, 4);
        assert_eq!(self.claim(now(), 9).await.len(), 4);
    }

    pub async fn store_4_accepts_the_new_events_of_a_partly_known_batch(self) {
        let first = self.accept(delivery("a")).await[0];
        let batch = |ids: &[&str]| {
            let events = ids.iter().map(|id| event(id)).collect();
            delivery("x").with_events(events).with_answer(answer("batch"))
        };
        let answers = self.store.accept(vec![batch(&["b", "a", "c"])]).await.unwrap();
        assert!(matches!(answers[0], Acceptance::Accepted { known: 1 }), "{answers:?}");
        assert_eq!(self.claim(now(), 9).await.len(), 3);
        // When all events are known, in any order, the answer is that of the batch, because its events
        // were accepted last.
        let other = |ids: &[&str]| batch(ids).with_answer(answer("another"));
        for ids in [["b", "a", "c"], ["a", "c", "b"], ["c", "b", "a"]] {
            let answers = self.store.accept(vec![other(&ids)]).await.unwrap();
            let Acceptance::Duplicate { answer: stored, .. } = &answers[0] else { panic!() };
            assert_eq!(*stored, answer("batch"), "{ids:?}");
        }
        let answers = self.store.accept(vec![other(&["a", "a"])]).await.unwrap();
        assert_duplicate(&answers[0], first, "a", DedupeKeyKind::Id);
    }

    pub async fn store_5_records_content_duplicates(self) {
        let first = self.accept(delivery("a")).await[0];
        let mut duplicate = repetition("a");
        duplicate.events[0].event_id = Some("a2".to_owned());
        duplicate.events[0].keys[0] = key(DedupeKeyKind::Id, "a2");
        duplicate.received_at = now().plus(Duration::from_secs(1));
        let answers = self.store.accept(vec![duplicate.clone()]).await.unwrap();
        assert_duplicate(&answers[0], first, "a", DedupeKeyKind::Content);
        // A repetition with the same id is not a content duplicate.
        self.accept(repetition("a")).await;
        if let Some(browse) = self.store.browse() {
            let content_duplicates = browse.show(first).await.unwrap().unwrap().content_duplicates;
            assert_eq!(content_duplicates.len(), 1, "{content_duplicates:?}");
            assert_eq!(content_duplicates[0].event_id.as_deref(), Some("a2"));
            assert_eq!(content_duplicates[0].received_at, duplicate.received_at);
        }
        // Where id and bytes name different events, the id decides.
        let other = self.accept(delivery("b")).await[0];
        let mut mixed = repetition("b");
        mixed.events[0].keys[1] = key(DedupeKeyKind::Content, "a");
        let answers = self.store.accept(vec![mixed]).await.unwrap();
        assert_duplicate(&answers[0], other, "b", DedupeKeyKind::Id);
    }

    pub async fn store_6_ignores_keys_older_than_the_window(self) {
        let first = self.accept(delivery("a")).await[0];
        let later = now().plus(Duration::from_secs(100));
        let late = repetition("a").with_received_at(later).with_dedupe_since(now());
        let answers = self.store.accept(vec![late]).await.unwrap();
        assert_duplicate(&answers[0], first, "a", DedupeKeyKind::Id);
        let since = now().plus(Duration::from_millis(1));
        let late = repetition("a").with_received_at(later).with_dedupe_since(since);
        let second = late.events[0].id;
        let answers = self.store.accept(vec![late.clone()]).await.unwrap();
        assert!(accepted(&answers[0]), "the key is older than the window");
        // The key was accepted again, so its window starts again.
        let answers = self.store.accept(vec![late]).await.unwrap();
        assert_duplicate(&answers[0], second, "another", DedupeKeyKind::Id);
    }

    pub async fn store_7_returns_the_bytes_as_accepted(self) {
        let every: Vec<u8> = (0..=255).cycle().take(200_000).collect();
        for (id, bytes) in [("empty", Vec::new()), ("every", every)] {
            let mut odd = delivery(id);
            odd.body = Body::new(bytes.clone());
            odd.headers = [("x-\u{e9}".to_owned(), " \"\\\u{1}".to_owned())].into();
            odd.events[0].event_type = None;
            odd.events[0].event_id = None;
            let event = self.accept(odd.clone()).await[0];
            let job = self.claim_one(now()).await;
            assert_eq!(job.lease.job.event, event);
            let mut seen = vec![job.event];
            if let Some(browse) = self.store.browse() {
                seen.push(browse.show(event).await.unwrap().unwrap().event);
            }
            for event in seen {
                assert!(event.body().bytes() == &bytes, "the body of `{id}`");
                assert_eq!(event.headers(), &odd.headers[..]);
                assert_eq!((event.event_type(), event.event_id()), (None, None));
                assert_eq!((event.source(), event.received_at()), ("partner", now()));
            }
        }
    }

    pub async fn store_8_gives_each_job_its_batch_item(self) {
        let mut batch = delivery("a");
        batch.body = Body::new(r#"{"items": [{"n": 1.10}, {"n": 2}]}"#);
        batch.events.push(event("b"));
        for (n, event) in batch.events.iter_mut().enumerate() {
            event.item_pointer = Some(format!("/items/{n}"));
        }
        self.accept(batch).await;
        let jobs = self.claim(now(), 9).await;
        let bodies: Vec<_> = jobs.iter().map(|job| job.event.body().bytes().clone()).collect();
        assert_eq!(bodies, [&br#"{"n": 1.10}"#[..], &br#"{"n": 2}"#[..]]);
    }

    pub async fn store_9_stores_unrouted_and_invalid_events(self) {
        let unrouted = with_jobs("a", &[]);
        let mut invalid = with_jobs("b", &[]);
        invalid.events[0].status = NewStatus::Invalid;
        invalid.events[0].notes = vec!["route `x`: \"n\" is no number".to_owned()];
        let ids = [self.accept(unrouted).await[0], self.accept(invalid.clone()).await[0]];
        assert!(self.store.claim(claim_request(now(), 9)).await.unwrap().is_empty());
        let answers = self.store.accept(vec![repetition("b")]).await.unwrap();
        assert_duplicate(&answers[0], ids[1], "b", DedupeKeyKind::Id);
        let Some(browse) = self.store.browse() else { return };
        let a = browse.show(ids[0]).await.unwrap().unwrap();
        assert_eq!((a.summary.status, a.notes.len()), (EventStatus::Unrouted, 0));
        let b = browse.show(ids[1]).await.unwrap().unwrap();
        assert_eq!(b.summary.status, EventStatus::Invalid);
        assert_eq!(b.notes, invalid.events[0].notes);
    }
}
