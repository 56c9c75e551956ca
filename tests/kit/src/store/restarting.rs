//! STORE-26 to STORE-29: the state that a new owner finds.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::time::Duration;

use hookward_core::store::{
    Acceptance, AttemptOutcome, Cause, DedupeKeyKind, EventStatus, JobState, RetentionState,
    Settled, Settlement, StoreError,
};

use super::Suite;
use super::sample::{answer, delivery, now};
use super::working::{after, outcome, retry};

#[allow(missing_docs, reason = "the rules are documented in `spec`")]
impl Suite {
    pub async fn store_26_keeps_events_and_jobs_over_a_restart(mut self) {
        if !self.store.durable() {
            return;
        }
        let mut ids = Vec::new();
        for id in ["done", "dead", "later", "new"] {
            ids.push(self.accept(delivery(id)).await[0]);
        }
        let jobs = self.claim(now(), 3).await;
        let dead = Settlement::Dead { reason: "no".into(), step: None, body: None };
        self.settle(&jobs[0], Settlement::Done).await;
        self.settle(&jobs[1], dead).await;
        self.settle(&jobs[2], retry(after(60))).await;
        let token = jobs[2].lease;
        self.restart(after(1)).await;

        let again = self.store.accept(vec![delivery("done")]).await.unwrap();
        let Acceptance::Duplicate { answer: stored, of, by } = &again[0] else {
            panic!("accepted as new: {again:?}");
        };
        assert_eq!((stored, *of, *by), (&answer("done"), ids[0], DedupeKeyKind::Id));
        let depth = self.store.depth().await.unwrap();
        assert_eq!((depth.routes[0].open, depth.routes[0].dead), (2, 1));
        let job = self.claim_one(after(1)).await;
        assert_eq!((job.event.event_id(), job.attempt, job.crashes), (Some("new"), 1, 0));
        assert_eq!(job.event.body().bytes(), delivery("new").body.bytes());
        self.settle(&job, Settlement::Done).await;
        assert_eq!(self.store.next_due().await.unwrap(), Some(after(60)));
        let job = self.claim_one(after(60)).await;
        assert_eq!((job.event.event_id(), job.attempt), (Some("later"), 2));
        assert_ne!(job.lease.token, token.token, "a lease token is used once");
        let Some(browse) = self.store.browse() else { return };
        let statuses =
            [EventStatus::Done, EventStatus::Dead, EventStatus::Pending, EventStatus::Done];
        for (id, status) in ids.into_iter().zip(statuses) {
            let detail = browse.show(id).await.unwrap().unwrap();
            assert_eq!(detail.summary.status, status);
        }
    }

    pub async fn store_29_keeps_the_state_of_the_retention_clock(mut self) {
        assert_eq!(self.store.retention_state().await.unwrap(), None);
        let mut saved = RetentionState::new(now(), Duration::ZERO);
        self.store.save_retention_state(saved).await.unwrap();
        assert_eq!(self.store.retention_state().await.unwrap(), Some(saved));
        // Also back: a clock can have been ahead.
        saved = RetentionState::new(
            now().minus(Duration::from_secs(86_400)),
            Duration::from_millis(7_200_001),
        );
        self.store.save_retention_state(saved).await.unwrap();
        assert_eq!(self.store.retention_state().await.unwrap(), Some(saved));
        if self.store.durable() {
            self.restart(after(1)).await;
            assert_eq!(self.store.retention_state().await.unwrap(), Some(saved));
        }
        self.store.close().await;
        assert_eq!(self.store.retention_state().await, Err(StoreError::Closed));
        assert_eq!(self.store.save_retention_state(saved).await, Err(StoreError::Closed));
    }

    pub async fn store_27_records_a_crash_and_reruns_the_job(mut self) {
        if !self.store.durable() {
            return;
        }
        let mut ids = Vec::new();
        for id in ["a", "b"] {
            ids.push(self.accept(delivery(id)).await[0]);
        }
        let running = self.claim(now(), 9).await;
        self.restart(after(1)).await;
        let stale = running.iter().map(|job| outcome(job, Settlement::Done)).collect();
        let settled = self.store.settle(stale).await.unwrap();
        assert_eq!(settled, [Settled::Stale, Settled::Stale], "all leases are void");
        // Either may have killed the process, so crash suspects run one at a time.
        for id in ids {
            let job = self.claim_one(after(1)).await;
            assert_eq!(job.event.id(), id);
            assert_eq!((job.attempt, job.crashes), (2, 1));
            assert_eq!(job.cause, Some(Cause::Crash));
            self.settle(&job, Settlement::Done).await;
            let Some(browse) = self.store.browse() else { continue };
            let attempts = browse.show(id).await.unwrap().unwrap().jobs.remove(0).attempts;
            let outcomes: Vec<_> =
                attempts.iter().map(|a| (a.attempt, a.outcome.as_str())).collect();
            assert_eq!(outcomes, [(1, "crash"), (2, "done")]);
            assert_eq!(attempts[0].started_at, now().to_string());
        }
    }

    pub async fn store_28_dead_letters_a_poison_job(mut self) {
        if !self.store.durable() {
            return;
        }
        let event = self.accept(delivery("poison")).await[0];
        // It may have crashed once among others; then it crashes three times alone.
        for crashes in 0..4 {
            let job = self.claim_one(after(crashes)).await;
            assert_eq!(u64::from(job.crashes), crashes);
            self.restart(after(crashes + 1)).await;
        }
        assert!(self.claim(after(3600), 9).await.is_empty());
        assert_eq!(self.store.depth().await.unwrap().routes[0].dead, 1);
        let Some(browse) = self.store.browse() else { return };
        let job = browse.show(event).await.unwrap().unwrap().jobs.remove(0);
        assert_eq!(job.state, JobState::Dead);
        assert!(job.reason.unwrap().contains("poison"));
        assert_eq!(job.attempts.len(), 4);
        assert!(job.attempts.iter().all(|attempt| attempt.outcome == AttemptOutcome::Crash));
    }
}
