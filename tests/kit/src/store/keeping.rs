//! STORE-21, STORE-24, STORE-25 and STORE-30: purge, queue depth and closing.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use hookward_core::store::{Acceptance, PurgeRequest, Settlement, StoreError};

use super::sample::{delivery, now, with_jobs};
use super::working::{after, retry};
use super::{Suite, claim_request};

#[allow(missing_docs, reason = "the rules are documented in `spec`")]
impl Suite {
    pub async fn store_21_purges_expired_events_and_keys(self) {
        let ids = ["done", "dead", "open", "late"];
        let mut events = Vec::new();
        for id in ids {
            let received_at = if id == "late" { after(100) } else { now() };
            events.push(self.accept(delivery(id).with_received_at(received_at)).await[0]);
            let Some(job) = self.claim(after(100), 1).await.pop() else { panic!("no job") };
            match id {
                "dead" => {
                    let dead = Settlement::Dead { reason: "no".into(), step: None, body: None };
                    self.settle(&job, dead).await;
                }
                "open" => self.settle(&job, retry(after(9999))).await,
                _ => self.settle(&job, Settlement::Done).await,
            }
        }
        let purge = |events_before, dead_before, limit| {
            self.store.purge(PurgeRequest::new(events_before, dead_before, limit))
        };
        assert_eq!(purge(now(), now(), 9).await.unwrap(), 0, "`before` is exclusive");
        assert_eq!(purge(after(1), now(), 9).await.unwrap(), 1, "only the done event");
        assert_eq!(
            purge(now(), after(1), 9).await.unwrap(),
            0,
            "dedupe keys are kept as long as their event"
        );
        assert_eq!(purge(after(1), after(1), 9).await.unwrap(), 1, "the dead event");
        assert_eq!(purge(after(1), after(1), 9).await.unwrap(), 0, "the open event stays");
        if let Some(browse) = self.store.browse() {
            let mut there = Vec::new();
            for event in &events {
                there.push(browse.show(*event).await.unwrap().is_some());
            }
            assert_eq!(there, [false, false, true, true]);
        }
        for (id, new) in [("done", true), ("dead", true), ("open", false), ("late", false)] {
            let again = self.store.accept(vec![delivery(id)]).await.unwrap();
            let accepted = matches!(again[0], Acceptance::Accepted { .. });
            assert_eq!(accepted, new, "the key of `{id}`");
        }
        let unrouted = (0..5).map(|n| with_jobs(&n.to_string(), &[])).collect();
        self.store.accept(unrouted).await.unwrap();
        assert_eq!(purge(after(1), after(1), 3).await.unwrap(), 3, "at most `limit` events");
        assert_eq!(purge(after(1), after(1), 3).await.unwrap(), 2);
    }

    pub async fn store_30_claims_by_due_and_purges_by_received_at(self) {
        // The wall clock, by which jobs are claimed, is behind.
        let behind = delivery("behind").with_received_at(after(1_000)).with_due(now());
        let stored = self.accept(behind).await;
        assert_eq!(self.store.next_due().await.unwrap(), Some(now()));
        let Some(job) = self.claim(now(), 1).await.pop() else { panic!("it is not due") };
        assert_eq!(job.event.received_at(), after(1_000));
        self.settle(&job, Settlement::Done).await;
        let purge = |before| self.store.purge(PurgeRequest::new(before, before, 9));
        assert_eq!(purge(after(1_000)).await.unwrap(), 0);
        let again = delivery("behind").with_dedupe_since(after(900));
        let again = self.store.accept(vec![again]).await.unwrap();
        assert!(matches!(again[0], Acceptance::Duplicate { of, .. } if of == stored[0]));
        assert_eq!(purge(after(1_001)).await.unwrap(), 1);
    }

    pub async fn store_24_reports_the_queue_depth(self) {
        let depth = self.store.depth().await.unwrap();
        assert!(depth.routes.is_empty() && depth.oldest.is_none(), "{depth:?}");
        self.accept(with_jobs("a", &["orders", "mail"])).await;
        let received_at = after(5);
        self.accept(delivery("b").with_received_at(received_at)).await;
        let open_and_dead = |depth: &hookward_core::store::QueueDepth| {
            let each = depth.routes.iter().map(|r| (r.route.to_string(), r.open, r.dead));
            each.collect::<Vec<_>>()
        };
        let depth = self.store.depth().await.unwrap();
        assert_eq!(open_and_dead(&depth), [("mail".to_owned(), 1, 0), ("orders".to_owned(), 2, 0)]);
        assert_eq!(depth.oldest, Some(now()));
        let mut claim = claim_request(after(5), 9);
        claim.max_unrouted = 9;
        let jobs = self.store.claim(claim).await.unwrap();
        let depth = self.store.depth().await.unwrap();
        assert_eq!(depth.routes.iter().map(|r| r.open).sum::<u64>(), 3, "running jobs are open");
        assert_eq!(depth.oldest, None, "nothing waits");
        for job in &jobs {
            match (&*job.route, job.event.event_id()) {
                ("mail", _) => {
                    let dead = Settlement::Dead { reason: "no".into(), step: None, body: None };
                    self.settle(job, dead).await;
                }
                (_, Some("a")) => self.settle(job, Settlement::Done).await,
                _ => self.settle(job, retry(after(60))).await,
            }
        }
        let depth = self.store.depth().await.unwrap();
        assert_eq!(open_and_dead(&depth), [("mail".to_owned(), 0, 1), ("orders".to_owned(), 1, 0)]);
        assert_eq!(depth.oldest, Some(after(5)));
    }

    pub async fn store_25_reports_that_it_is_closed(self) {
        self.accept(delivery("a")).await;
        assert_eq!(self.store.check().await, Ok(()));
        self.store.close().await;
        assert_eq!(self.store.check().await, Err(StoreError::Closed));
        let result = self.store.accept(vec![delivery("b")]).await;
        assert_eq!(result.unwrap_err(), StoreError::Closed);
        assert_eq!(
            self.store.claim(claim_request(now(), 9)).await.unwrap_err(),
            StoreError::Closed
        );
        self.store.close().await;
    }
}
