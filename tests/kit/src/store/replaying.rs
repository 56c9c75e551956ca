//! STORE-18 to STORE-20: dead jobs, replays, and jobs whose route was removed.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use bytes::Bytes;
use hookward_core::EventId;
use hookward_core::store::{Cause, EventStatus, JobId, JobState, ReplayJob, Settlement};

use super::Suite;
use super::sample::{delivery, job, now, with_jobs};
use super::working::{after, retry};

#[allow(missing_docs, reason = "the rules are documented in `spec`")]
impl Suite {
    pub async fn store_18_revives_a_dead_job_at_its_step(self) {
        let event = self.accept(delivery("a")).await[0];
        let first = self.claim_one(now()).await;
        self.settle(&first, retry(now())).await;
        let second = self.claim_one(now()).await;
        let body = Some(Bytes::from_static(b"as the step received it"));
        let (reason, step) = ("it said no".to_owned(), Some("send".to_owned()));
        self.settle(&second, Settlement::Dead { reason, step, body: body.clone() }).await;
        assert!(self.claim(after(3600), 9).await.is_empty());
        assert_eq!(self.store.next_due().await.unwrap(), None);
        let Some(browse) = self.store.browse() else { return };
        let detail = browse.show(event).await.unwrap().unwrap();
        assert_eq!(detail.summary.status, EventStatus::Dead);
        assert_eq!(detail.jobs[0].reason.as_deref(), Some("it said no"));
        let id = JobId { event, n: 0 };
        let revive = || vec![ReplayJob::Revive(id), ReplayJob::Revive(id)];
        assert_eq!(
            browse.replay(after(60), revive()).await.unwrap(),
            1,
            "a job is revived once per call"
        );
        assert_eq!(
            browse.replay(after(60), revive()).await.unwrap(),
            0,
            "a revived job is not dead"
        );
        let job = self.claim_one(after(60)).await;
        assert_eq!(job.lease.job, id);
        assert_eq!((job.attempt, job.step.as_deref()), (1, Some("send")));
        assert_eq!((job.replay, job.cause), (true, Some(Cause::Replay)));
        assert_eq!(Some(job.event.body().bytes()), body.as_ref());
        self.settle(&job, Settlement::Done).await;
        let detail = browse.show(event).await.unwrap().unwrap();
        assert_eq!((detail.summary.status, &detail.jobs[0].reason), (EventStatus::Done, &None));
        assert_eq!(detail.jobs[0].attempts.len(), 3, "earlier attempts stay on record");
    }

    pub async fn store_19_replays_a_route_as_a_new_job(self) {
        let Some(browse) = self.store.browse() else { return };
        let done = self.accept(delivery("a")).await[0];
        let first = self.claim_one(now()).await;
        self.settle(&first, Settlement::Done).await;
        let unrouted = self.accept(with_jobs("b", &[])).await[0];
        let add = |event| ReplayJob::Add { event, job: job("orders", None) };
        let unknown = EventId::from_bytes([7; 16]);
        let wanted = vec![add(done), add(unknown), add(unrouted), add(done)];
        assert_eq!(browse.replay(after(60), wanted).await.unwrap(), 3);
        let jobs = self.claim(after(60), 9).await;
        let mut ids: Vec<_> = jobs.iter().map(|job| job.lease.job).collect();
        ids.sort();
        let id = |event, n| JobId { event, n };
        let mut expected = [id(done, 1), id(done, 2), id(unrouted, 0)];
        expected.sort();
        assert_eq!(ids, expected);
        assert!(jobs.iter().all(|job| job.replay && job.cause == Some(Cause::Replay)));
        assert!(jobs.iter().all(|job| job.attempt == 1 && job.step.is_none()));
    }

    pub async fn store_20_settles_a_job_without_a_route_as_unrouted(self) {
        let event = self.accept(delivery("a")).await[0];
        let job = self.claim_one(now()).await;
        self.settle(&job, Settlement::Unrouted).await;
        assert!(self.claim(after(3600), 9).await.is_empty());
        let Some(browse) = self.store.browse() else { return };
        let detail = browse.show(event).await.unwrap().unwrap();
        assert_eq!(detail.jobs[0].state, JobState::Unrouted);
        assert_eq!(detail.summary.status, EventStatus::Unrouted);
    }
}
