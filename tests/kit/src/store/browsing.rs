//! STORE-22 and STORE-23: listing.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use hookward_core::store::{
    Browse, EventFilter, EventStatus, JobCounts, JobState, NewStatus, Settlement,
};

use super::Suite;
use super::sample::{delivery, now, with_jobs};
use super::working::{after, retry};

/// Everything that passes, page by page.
async fn all(browse: &dyn Browse, filter: &EventFilter, limit: usize) -> Vec<String> {
    let mut found = Vec::new();
    let mut after = None;
    loop {
        let page = browse.list(filter, limit, after).await.unwrap();
        assert!(page.events.len() <= limit, "no more than {limit} on a page");
        found.extend(page.events.into_iter().map(|event| event.event_id.unwrap()));
        match page.next {
            None => return found,
            next => {
                assert_ne!(next, after, "a listing goes on");
                after = next;
            }
        }
    }
}

#[allow(missing_docs, reason = "the rules are documented in `spec`")]
impl Suite {
    pub async fn store_22_lists_newest_first_page_by_page(self) {
        let Some(browse) = self.store.browse() else { return };
        for n in 0..7 {
            self.accept(delivery(&n.to_string())).await;
        }
        let filter = EventFilter::default();
        for limit in [1, 3, 7, 100] {
            assert_eq!(all(browse, &filter, limit).await, ["6", "5", "4", "3", "2", "1", "0"]);
        }
        // What comes in meanwhile does not shift the pages.
        let page = browse.list(&filter, 3, None).await.unwrap();
        self.accept(delivery("7")).await;
        let page = browse.list(&filter, 2, page.next).await.unwrap();
        let ids: Vec<_> = page.events.iter().map(|e| e.event_id.as_deref().unwrap()).collect();
        assert_eq!(ids, ["3", "2"]);
        // A provider may name two events alike.
        let mut alike = delivery("3");
        alike.events[0].keys.clear();
        let newer = self.accept(alike).await[0];
        let found = browse.find("3", 9).await.unwrap();
        assert_eq!((found.len(), found[0]), (2, newer));
        assert_eq!(browse.find("3", 1).await.unwrap(), [newer]);
        assert!(browse.find("nobody", 9).await.unwrap().is_empty());
    }

    pub async fn store_23_applies_every_filter(self) {
        let Some(browse) = self.store.browse() else { return };
        self.accept(with_jobs("done", &["orders"])).await;
        self.accept(with_jobs("dead", &["orders", "orders"])).await;
        self.accept(with_jobs("pending", &["orders", "orders", "orders"])).await;
        for job in self.claim(now(), 9).await {
            let dead = Settlement::Dead { reason: "no".into(), step: None, body: None };
            match (job.event.event_id().unwrap(), job.lease.job.n) {
                ("dead" | "pending", 1) => self.settle(&job, dead).await,
                ("pending", 2) => self.settle(&job, retry(after(60))).await,
                _ => self.settle(&job, Settlement::Done).await,
            }
        }
        let mut odd = with_jobs("unrouted", &[]);
        odd.events[0].event_type = Some("order/100%_off".to_owned());
        odd.source = "shop".into();
        let unrouted = self.accept(odd).await[0];
        let mut odd = with_jobs("invalid", &[]).with_received_at(after(10));
        odd.events[0].status = NewStatus::Invalid;
        odd.events[0].event_type = None;
        self.accept(odd).await;

        for status in EventStatus::ALL {
            let filter = EventFilter::new().with_status(status);
            assert_eq!(all(browse, &filter, 2).await, [status.as_str()]);
            let page = browse.list(&filter, 9, None).await.unwrap();
            assert_eq!(page.events[0].status, status);
        }
        let filter = EventFilter::new().with_status(EventStatus::Pending);
        let page = browse.list(&filter, 9, None).await.unwrap();
        assert_eq!(
            page.events[0].jobs,
            JobCounts::from_iter([JobState::Done, JobState::Pending, JobState::Dead])
        );

        let some = |text: &str| Some(text.to_owned());
        let q = |text: &str| EventFilter::new().with_q(some(text));
        for (filter, expected) in [
            (EventFilter::new().with_source(some("shop")), &["unrouted"][..]),
            (EventFilter::new().with_event_type(some("order.paid")), &["pending", "dead", "done"]),
            (EventFilter::new().with_event_type(some("order")), &[]),
            (EventFilter::new().with_since(after(10)), &["invalid"]),
            (
                EventFilter::new().with_until(after(10)).with_source(some("partner")),
                &["pending", "dead", "done"],
            ),
            (q("order"), &["unrouted", "pending", "dead", "done"]),
            (q("%_"), &["unrouted"]),
            (q("dead"), &["dead"]),
            (q("dea"), &[]),
            (q(&unrouted.to_string()), &["unrouted"]),
        ] {
            assert_eq!(all(browse, &filter, 2).await, expected, "{filter:?}");
        }
    }
}
