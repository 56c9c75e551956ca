//! Progress within a chain survives changes of the configuration, and a slow store makes no step
//! run twice.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use hookward_core::plugin::Registry;
use hookward_core::store::{
    Acceptance, Browse, ClaimRequest, EventFilter, EventStatus, Job, JobOutcome, Lease,
    NewDelivery, PurgeRequest, QueueDepth, RetentionState, Settled, StoreError,
};
use hookward_core::{Body, EventDraft, Handler, Secret, Store, Timestamp};
use hookward_engine::Engine;
use hookward_engine::compiled::CompiledConfig;
use hookward_engine::config::{LoadCx, SystemEnvironment, load_text};
use hookward_engine::memory::MemoryStore;
use hookward_engine::worker::Worker;
use hookward_testkit::clock::FakeClock;
use hookward_testkit::handler::{Play, Recorder};

const START: Timestamp = Timestamp::from_secs(1_760_000_000);

/// A configuration with one route, whose chain has the step `first` and the named one.
fn config(recorder: &Recorder, other: &str) -> CompiledConfig {
    let mut registry = Registry::empty();
    registry.add(hookward_engine::memory::PLUGINS).unwrap();
    registry.add(hookward_provider_github::PLUGINS).unwrap();
    let text = format!(
        "store: memory\nsources: {{ github: {{ secrets: [s] }} }}\nroutes:\n  - name: r\n    \
         events: github/**\n    retry: {{ first_delay: 1s, jitter: none }}\n    chain:\n      \
         - {{ handler: record, name: first }}\n      - {{ handler: record, name: {other} }}\n"
    );
    let handler: Arc<dyn Handler> = Arc::new(recorder.clone());
    let handlers = BTreeMap::from([("record".to_owned(), handler)]);
    let cx = LoadCx {
        registry: &registry,
        environment: &SystemEnvironment,
        builtin_schemas: &[],
        handlers: &handlers,
        now: START,
    };
    load_text(Path::new("routes.yaml"), &text, &cx).unwrap_or_else(|e| panic!("{e}")).config
}

async fn until_status(engine: &Engine, status: EventStatus) {
    let filter = EventFilter::new().with_status(status);
    for _ in 0..2_000 {
        let browse = engine.store().browse().unwrap();
        if !browse.list(&filter, 1, None).await.unwrap().events.is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("never {status:?}");
}

async fn post(engine: &Engine) {
    let source = engine.config().sources["github"].clone();
    let draft = EventDraft::new(
        "push".to_owned(),
        "id-1".to_owned(),
        Body::new("{}"),
        "http://localhost/webhooks/github".to_owned(),
        START,
    );
    let request = source.provider.signer().unwrap().sign(&draft, &Secret::new("s")).unwrap();
    let reply = engine.receive(request.head, Bytes::from_static(b"{}")).await;
    assert_eq!(reply.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_job_of_a_restored_step_resumes_with_the_body_of_the_step_before_it() {
    let recorder = Recorder::playing([Play::Replace(Body::new("made")), Play::Fail]);
    let clock = FakeClock::at(START);
    let store = Arc::new(MemoryStore::new());
    let engine = Engine::new(config(&recorder, "second"), store, Arc::new(clock.clone()));
    let worker = Worker::start(engine.clone(), tokio::runtime::Handle::current());
    post(&engine).await;
    recorder.wait_for(2).await;

    // The next attempt finds that its step was removed.
    engine.reload(config(&recorder, "other")).unwrap();
    clock.advance(Duration::from_secs(60));
    engine.wake_worker();
    until_status(&engine, EventStatus::Dead).await;
    // The step is restored, and an operator replays the job.
    engine.reload(config(&recorder, "second")).unwrap();
    let filter = EventFilter::default();
    engine.replay_matching(&filter, 9, false).await.unwrap();
    until_status(&engine, EventStatus::Done).await;
    let bodies: Vec<_> =
        recorder.runs().iter().map(|run| run.event.body().bytes().clone()).collect();
    assert_eq!(bodies, ["{}", "made", "made"]);
    worker.stop(Duration::from_secs(5)).await;
}

/// A memory store whose first claim of a job takes 40 s, by the test's clock.
#[derive(Debug)]
struct SlowClaimStore {
    inner: MemoryStore,
    clock: FakeClock,
    was_slow: AtomicBool,
}

#[async_trait]
impl Store for SlowClaimStore {
    async fn accept(&self, deliveries: Vec<NewDelivery>) -> Result<Vec<Acceptance>, StoreError> {
        self.inner.accept(deliveries).await
    }
    async fn claim(&self, claim: ClaimRequest) -> Result<Vec<Job>, StoreError> {
        // Lets the other loops run between two claims.
        tokio::time::sleep(Duration::from_millis(100)).await;
        let jobs = self.inner.claim(claim).await?;
        if !jobs.is_empty() && !self.was_slow.swap(true, Ordering::SeqCst) {
            self.clock.advance(Duration::from_secs(40));
        }
        Ok(jobs)
    }
    async fn settle(&self, outcomes: Vec<JobOutcome>) -> Result<Vec<Settled>, StoreError> {
        self.inner.settle(outcomes).await
    }
    async fn extend(
        &self,
        leases: Vec<Lease>,
        until: Timestamp,
    ) -> Result<Vec<Settled>, StoreError> {
        self.inner.extend(leases, until).await
    }
    async fn purge(&self, batch: PurgeRequest) -> Result<u64, StoreError> {
        self.inner.purge(batch).await
    }
    async fn retention_state(&self) -> Result<Option<RetentionState>, StoreError> {
        self.inner.retention_state().await
    }
    async fn save_retention_state(&self, state: RetentionState) -> Result<(), StoreError> {
        self.inner.save_retention_state(state).await
    }
    async fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        self.inner.next_due().await
    }
    async fn depth(&self) -> Result<QueueDepth, StoreError> {
        self.inner.depth().await
    }
    async fn check(&self) -> Result<(), StoreError> {
        self.inner.check().await
    }
    async fn close(&self) {}
    fn browse(&self) -> Option<&dyn Browse> {
        self.inner.browse()
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_whose_claim_took_longer_than_its_lease_runs_once() {
    let recorder = Recorder::always(Play::Slow(Duration::from_secs(1)));
    let clock = FakeClock::at(START);
    let (inner, was_slow) = (MemoryStore::new(), AtomicBool::new(false));
    let store = Arc::new(SlowClaimStore { inner, clock: clock.clone(), was_slow });
    let engine = Engine::new(config(&recorder, "second"), store, Arc::new(clock));
    post(&engine).await;
    let worker = Worker::start(engine.clone(), tokio::runtime::Handle::current());
    until_status(&engine, EventStatus::Done).await;
    worker.stop(Duration::from_secs(5)).await;
    assert_eq!(recorder.runs().len(), 2, "each of the two steps ran once");
}
