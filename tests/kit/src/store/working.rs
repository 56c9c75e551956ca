//! STORE-10 to STORE-17: claiming, settling and extending jobs.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use hookward_core::Timestamp;
use hookward_core::store::{
    AttemptOutcome, Cause, Job, JobOutcome, JobState, Lease, Settled, Settlement,
};

use super::sample::{delivery, job, now, record, with_jobs};
use super::{Suite, claim_request};

pub(super) fn outcome(job: &Job, settlement: Settlement) -> JobOutcome {
    let word = match &settlement {
        Settlement::Done => AttemptOutcome::Done,
        Settlement::Released { .. } => AttemptOutcome::Released,
        _ => AttemptOutcome::Error,
    };
    JobOutcome::new(job.lease, settlement).with_attempt(record(job.attempt, word))
}

pub(super) fn after(secs: u64) -> Timestamp {
    now().plus(Duration::from_secs(secs))
}

pub(super) fn retry(at: Timestamp) -> Settlement {
    Settlement::Retry { at, step: None, body: None, cause: Cause::Error }
}

impl Suite {
    pub(super) async fn settle(&self, job: &Job, settlement: Settlement) {
        let settled = self.store.settle(vec![outcome(job, settlement)]).await.unwrap();
        assert_eq!(settled, [Settled::Applied]);
    }
}

#[allow(missing_docs, reason = "the rules are documented in `spec`")]
impl Suite {
    pub async fn store_10_claims_at_most_the_free_slots(self) {
        for id in ["a", "b", "c"] {
            self.accept(with_jobs(id, &["orders", "mail", "gone"])).await;
        }
        let slots = vec![("orders".into(), 2), ("mail".into(), 1)];
        let claim = claim_request(now(), 0).with_slots(slots).with_max_unrouted(1);
        let routes = |jobs: &[Job]| {
            let mut routes: Vec<_> = jobs.iter().map(|job| job.route.to_string()).collect();
            routes.sort();
            routes
        };
        let jobs = self.store.claim(claim.clone()).await.unwrap();
        assert_eq!(routes(&jobs), ["gone", "mail", "orders", "orders"]);
        assert!(jobs.iter().all(|job| job.attempt == 1 && job.cause.is_none() && !job.replay));
        assert!(jobs.iter().all(|job| job.step.is_none()));
        let none = claim.clone().with_slots(vec![("orders".into(), 0), ("mail".into(), 0)]);
        let none = none.with_max_unrouted(0);
        assert!(self.store.claim(none).await.unwrap().is_empty());
        let rest = claim.with_max_unrouted(9);
        let jobs = self.store.claim(rest).await.unwrap();
        assert_eq!(routes(&jobs), ["gone", "gone", "mail", "orders"]);
    }

    pub async fn store_11_leases_each_job_once(self) {
        let deliveries = (0..300).map(|n| delivery(&n.to_string())).collect();
        self.store.accept(deliveries).await.unwrap();
        let workers: Vec<_> = (0..4)
            .map(|_| {
                let store = self.store.clone();
                tokio::spawn(async move {
                    let mut seen = Vec::new();
                    loop {
                        let jobs = store.claim(claim_request(now(), 16)).await.unwrap();
                        if jobs.is_empty() {
                            return seen;
                        }
                        let done = |job: &Job| outcome(job, Settlement::Done);
                        let outcomes = jobs.iter().map(done).collect();
                        let settled = store.settle(outcomes).await.unwrap();
                        assert!(settled.iter().all(|s| *s == Settled::Applied));
                        seen.extend(jobs.into_iter().map(|job| job.lease.job));
                    }
                })
            })
            .collect();
        let mut seen = Vec::new();
        for worker in workers {
            seen.extend(worker.await.unwrap());
        }
        assert_eq!(seen.len(), 300);
        assert_eq!(seen.into_iter().collect::<BTreeSet<_>>().len(), 300);
        assert_eq!(self.store.next_due().await.unwrap(), None);
    }

    pub async fn store_12_claims_no_job_before_it_is_due(self) {
        self.accept(delivery("a")).await;
        assert!(self.store.next_due().await.unwrap().unwrap() <= now());
        let job = self.claim_one(now()).await;
        self.settle(&job, retry(after(60))).await;
        assert_eq!(self.store.next_due().await.unwrap(), Some(after(60)));
        assert!(self.claim(after(59), 9).await.is_empty());
        self.claim_one(after(60)).await;
    }

    pub async fn store_13_runs_an_order_key_one_at_a_time(self) {
        let keyed = |id: &str, key: &str| {
            let mut delivery = delivery(id);
            delivery.events[0].jobs = vec![job("orders", Some(key))];
            delivery
        };
        for (id, key) in [("a1", "a"), ("a2", "a"), ("b1", "b"), ("a3", "a")] {
            self.accept(keyed(id, key)).await;
        }
        self.accept(delivery("free")).await;
        let ids = |jobs: &[Job]| {
            let mut ids: Vec<_> =
                jobs.iter().map(|job| job.event.event_id().unwrap().to_owned()).collect();
            ids.sort();
            ids
        };
        let first = self.claim(now(), 9).await;
        assert_eq!(ids(&first), ["a1", "b1", "free"]);
        let a1 = first.into_iter().find(|job| job.event.event_id() == Some("a1")).unwrap();
        // Later jobs of the key wait while the first is retried.
        self.settle(&a1, retry(after(10))).await;
        assert!(self.claim(now(), 9).await.is_empty());
        let a1 = self.claim_one(after(10)).await;
        assert_eq!(a1.event.event_id(), Some("a1"));
        let dead = Settlement::Dead { reason: "no".into(), step: None, body: None };
        self.settle(&a1, dead).await;
        for id in ["a2", "a3"] {
            let next = self.claim_one(after(11)).await;
            assert_eq!(next.event.event_id(), Some(id));
            self.settle(&next, Settlement::Done).await;
        }
    }

    pub async fn store_14_changes_nothing_for_a_stale_lease(self) {
        self.accept(delivery("a")).await;
        let first = self.claim_one(now()).await;
        let forged = Lease::new(first.lease.job, first.lease.token.wrapping_add(1));
        let extend = |lease: Lease| self.store.extend(vec![lease], after(60));
        assert_eq!(extend(forged).await.unwrap(), [Settled::Stale]);
        self.settle(&first, retry(now())).await;
        let second = self.claim_one(now()).await;
        assert_ne!(first.lease, second.lease);
        for settlement in [Settlement::Done, retry(after(5)), Settlement::Unrouted] {
            let stale = self.store.settle(vec![outcome(&first, settlement)]).await.unwrap();
            assert_eq!(stale, [Settled::Stale]);
        }
        assert_eq!(extend(first.lease).await.unwrap(), [Settled::Stale]);
        assert_eq!(extend(second.lease).await.unwrap(), [Settled::Applied]);
        // Twice in one call: the second outcome is stale.
        let (done, again) = (outcome(&second, Settlement::Done), outcome(&second, retry(now())));
        let settled = self.store.settle(vec![done, again]).await.unwrap();
        assert_eq!(settled, [Settled::Applied, Settled::Stale]);
        assert!(self.claim(after(3600), 9).await.is_empty());
    }

    pub async fn store_15_reclaims_a_job_when_its_lease_ends(self) {
        let event = self.accept(delivery("a")).await[0];
        let first = self.claim_one(now()).await;
        let extended = self.store.extend(vec![first.lease], after(40)).await.unwrap();
        assert_eq!(extended, [Settled::Applied]);
        assert!(self.claim(after(39), 9).await.is_empty(), "it was extended");
        let next = self.store.next_due().await.unwrap();
        assert_eq!(next, Some(after(40)), "the end of the lease is when a claim can succeed");
        let second = self.claim_one(after(40)).await;
        assert_eq!((second.attempt, second.cause), (2, Some(Cause::Lease)));
        let stale = self.store.settle(vec![outcome(&first, Settlement::Done)]).await.unwrap();
        assert_eq!(stale, [Settled::Stale]);
        self.settle(&second, Settlement::Done).await;
        let Some(browse) = self.store.browse() else { return };
        let job = browse.show(event).await.unwrap().unwrap().jobs.remove(0);
        let outcomes: Vec<_> =
            job.attempts.iter().map(|a| (a.attempt, a.outcome.as_str())).collect();
        assert_eq!(outcomes, [(1, "lease"), (2, "done")]);
    }

    pub async fn store_16_resumes_a_retry_at_its_step_and_body(self) {
        let event = self.accept(delivery("a")).await[0];
        let job = self.claim_one(now()).await;
        let body = Bytes::from_static(b"changed \xff");
        let step = Some("send".to_owned());
        let at = now();
        let retry = Settlement::Retry { at, step, body: Some(body.clone()), cause: Cause::Timeout };
        self.settle(&job, retry).await;
        let job = self.claim_one(now()).await;
        assert_eq!((job.attempt, job.step.as_deref()), (2, Some("send")));
        assert_eq!((job.cause, job.crashes), (Some(Cause::Timeout), 0));
        assert_eq!(job.event.body().bytes(), &body);
        assert_eq!(job.event.event_id(), Some("a"));
        // A retry without a body resumes with the event's own body.
        let (step, cause) = (Some("log".to_owned()), Cause::Error);
        self.settle(&job, Settlement::Retry { at, step, body: None, cause }).await;
        let job = self.claim_one(now()).await;
        assert_eq!((job.attempt, job.event.body().bytes()), (3, delivery("a").body.bytes()));
        self.settle(&job, Settlement::Done).await;
        let Some(browse) = self.store.browse() else { return };
        let detail = browse.show(event).await.unwrap().unwrap();
        assert_eq!(detail.jobs[0].state, JobState::Done);
        let records = [
            record(1, AttemptOutcome::Error),
            record(2, AttemptOutcome::Error),
            record(3, AttemptOutcome::Done),
        ];
        assert_eq!(detail.jobs[0].attempts, records);
        assert_eq!(detail.event.body().bytes(), delivery("a").body.bytes());
    }

    pub async fn store_17_does_not_count_a_released_attempt(self) {
        self.accept(delivery("a")).await;
        let job = self.claim_one(now()).await;
        let step = Some("send".to_owned());
        self.settle(&job, Settlement::Released { step, body: None }).await;
        let job = self.claim_one(now()).await;
        assert_eq!((job.attempt, job.step.as_deref(), job.cause), (1, Some("send"), None));
    }
}
