//! The way of an event through the engine, over the memory store, a clock that the test sets and
//! handlers that do as they are told.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use hookward_core::plugin::Registry;
use hookward_core::store::{
    Acceptance, Browse, Claim, Depth, EventDetail, Filter, Job, JobOutcome, JobState, Lease,
    NewDelivery, Purge, Settled, Status, StoreError,
};
use hookward_core::{
    Body, Clock, Draft, Handler, Head, IdentifyError, Identity, Provider, Reply, Request, Secret,
    Store, Timestamp, Verification, Verified, VerifyCx, VerifyError,
};
use hookward_engine::Engine;
use hookward_engine::compiled::Source;
use hookward_engine::config::{LoadCx, SystemEnvironment, load_text};
use hookward_engine::ingest::{ReadBody, ReadError};
use hookward_engine::memory::MemoryStore;
use hookward_engine::worker::Worker;
use hookward_testkit::clock::FakeClock;
use hookward_testkit::handler::{Play, Recorder};
use serde_json::Value;

mod breaker;
mod clock;
mod panics;
mod replay;
mod same;

const START: Timestamp = Timestamp::from_secs(1_760_000_000);

/// An engine, and what a test turns or reads.
struct Way {
    engine: Arc<Engine>,
    clock: FakeClock,
    recorder: Recorder,
}

fn registry() -> Registry {
    let mut registry = Registry::empty();
    registry.add(hookward_engine::memory::PLUGINS).unwrap();
    registry.add(hookward_provider_github::PLUGINS).unwrap();
    registry
}

fn way_over(store: Arc<dyn Store>, source: &str, routes: &str, script: Vec<Play>) -> Way {
    let text = format!(
        "store: memory\nsources:\n  github: {{ secrets: [s], {source} }}\nroutes:\n{routes}"
    );
    let recorder = Recorder::playing(script);
    let handler: Arc<dyn Handler> = Arc::new(recorder.clone());
    let handlers = BTreeMap::from([("record".to_owned(), handler)]);
    let (registry, environment) = (registry(), SystemEnvironment);
    let cx = LoadCx {
        registry: &registry,
        environment: &environment,
        builtin_schemas: &[],
        handlers: &handlers,
        now: START,
    };
    let config =
        load_text(Path::new("routes.yaml"), &text, &cx).unwrap_or_else(|e| panic!("{e}")).config;
    let clock = FakeClock::at(START);
    let engine = Engine::new(config, store, Arc::new(clock.clone()));
    Way { engine, clock, recorder }
}

fn way(source: &str, routes: &str, script: Vec<Play>) -> Way {
    way_over(Arc::new(MemoryStore::new()), source, routes, script)
}

const ALL: &str = "  - { name: r, events: github/**, chain: [record], retry: { attempts: 3, first_delay: 2s, jitter: none } }\n";

impl Way {
    /// Posts a push under this delivery id.
    async fn post(&self, id: &str, body: &str) -> Reply {
        self.post_from(id, body, "s", None).await
    }

    async fn post_from(&self, id: &str, body: &str, secret: &str, client: Option<IpAddr>) -> Reply {
        let head = Head { client, ..self.head(id, body, secret) };
        self.engine.receive(head, Bytes::from(body.to_owned())).await
    }

    /// The head of a push that is signed with this secret.
    fn head(&self, id: &str, body: &str, secret: &str) -> Head {
        let provider: Arc<dyn Provider> = self.engine.config().sources["github"].provider.clone();
        let draft = Draft {
            event_type: "push".to_owned(),
            event_id: id.to_owned(),
            body: Body::new(body.to_owned()),
            url: "http://localhost/webhooks/github".to_owned(),
            now: self.clock.now(),
        };
        provider.signer().unwrap().sign(&draft, &Secret::new(secret)).unwrap().head
    }

    fn browse(&self) -> &dyn Browse {
        self.engine.store().browse().unwrap()
    }

    async fn only(&self) -> EventDetail {
        let page = self.browse().list(&Filter::default(), 10, None).await.unwrap();
        assert_eq!(page.events.len(), 1);
        self.browse().show(page.events[0].id).await.unwrap().unwrap()
    }

    fn work(&self) -> Worker {
        Worker::start(self.engine.clone(), tokio::runtime::Handle::current())
    }

    /// Until the only event stands so; the clock stands still meanwhile.
    async fn until(&self, status: Status) -> EventDetail {
        for _ in 0..2000 {
            let detail = self.only().await;
            if detail.summary.status == status {
                return detail;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("never {status:?}: {:?}", self.only().await.jobs)
    }

    async fn until_runs(&self, runs: usize) {
        for _ in 0..2000 {
            if self.recorder.runs().len() >= runs {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("only {} runs", self.recorder.runs().len())
    }
}

fn code(reply: &Reply) -> String {
    let body: Value = serde_json::from_slice(&reply.body).unwrap();
    body["code"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn the_same_delivery_is_one_event_until_its_window_has_passed() {
    let way = way("", ALL, vec![]);
    let first = way.post("id-1", "{}").await;
    assert_eq!(way.post("id-1", "{}").await, first);
    way.clock.advance(Duration::from_secs(7 * 86_400));
    assert_eq!(way.post("id-1", "{}").await, first);
    way.clock.advance(Duration::from_secs(1));
    assert_ne!(way.post("id-1", "{}").await.body, first.body);
}

#[tokio::test]
async fn an_unsigned_id_alone_counts_only_where_the_source_says_so() {
    let both = way("", ALL, vec![]);
    assert_eq!(both.post("id-1", "{}").await, both.post("id-2", "{}").await);
    let id = way("dedupe: id", ALL, vec![]);
    assert_ne!(id.post("id-1", "{}").await.body, id.post("id-2", "{}").await.body);
}

#[tokio::test]
async fn a_rate_refills_with_the_clock() {
    let way = way("limits: { rate: 2/min }", ALL, vec![]);
    assert_eq!(way.post("id-1", "1").await.status, 200);
    assert_eq!(way.post("id-2", "2").await.status, 200);
    assert_eq!(code(&way.post("id-3", "3").await), "RATE_LIMITED");
    way.clock.advance(Duration::from_secs(30));
    assert_eq!(way.post("id-3", "3").await.status, 200);
    assert_eq!(code(&way.post("id-4", "4").await), "RATE_LIMITED");
}

#[tokio::test]
async fn a_forger_locks_out_its_own_address_and_nobody_else() {
    let way = way("", ALL, vec![]);
    let (forger, sender) = ("203.0.113.9".parse().ok(), "203.0.113.10".parse().ok());
    for n in 0..60 {
        let reply = way.post_from(&n.to_string(), "{}", "wrong", forger).await;
        assert_eq!(code(&reply), "INVALID_SIGNATURE", "{n}");
    }
    assert_eq!(code(&way.post_from("x", "{}", "wrong", forger).await), "RATE_LIMITED");
    assert_eq!(way.post_from("id-1", "{}", "s", sender).await.status, 200);
    way.clock.advance(Duration::from_secs(60));
    assert_eq!(code(&way.post_from("y", "{}", "wrong", forger).await), "INVALID_SIGNATURE");
}

#[tokio::test]
async fn a_failed_attempt_waits_for_its_time_and_every_attempt_is_on_record() {
    let way = way("", ALL, vec![Play::Fail, Play::Panic]);
    way.post("id-1", "{}").await;
    let worker = way.work();
    way.until_runs(1).await;
    for (runs, wait) in [(2, 2), (3, 4)] {
        way.until(Status::Pending).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(way.recorder.runs().len(), runs - 1, "it is not yet due");
        way.clock.advance(Duration::from_secs(wait));
        way.engine.wake_worker();
        way.until_runs(runs).await;
    }
    let detail = way.until(Status::Done).await;
    let outcomes: Vec<_> = detail.jobs[0].attempts.iter().map(|a| a.outcome.as_str()).collect();
    assert_eq!(outcomes, ["error", "panic", "done"]);
    let keys: Vec<_> = way.recorder.runs().iter().map(|r| r.cx.idempotency_key()).collect();
    assert!(keys.windows(2).all(|w| w[0] == w[1]));
    worker.stop(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn a_fatal_failure_is_dead_at_once_and_a_receivers_word_is_kept() {
    let fatal = way("", ALL, vec![Play::Fatal]);
    fatal.post("id-1", "{}").await;
    let worker = fatal.work();
    let detail = fatal.until(Status::Dead).await;
    assert_eq!(detail.jobs[0].attempt, 1);
    worker.stop(Duration::from_secs(5)).await;

    let asked = way("", ALL, vec![Play::RetryAfter(Duration::from_secs(90))]);
    asked.post("id-1", "{}").await;
    let worker = asked.work();
    asked.until_runs(1).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(asked.only().await.jobs[0].due, Some(START.plus(Duration::from_secs(90))));
    worker.stop(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn a_replaced_body_is_what_the_next_step_gets_also_after_a_failure() {
    let routes =
        "  - { name: r, events: github/**, chain: [record, record], retry: { first_delay: 1s } }\n";
    let script = vec![Play::Replace(Body::new("new")), Play::Fail];
    let way = way("", routes, script);
    way.post("id-1", "old").await;
    let worker = way.work();
    way.until_runs(2).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    way.clock.advance(Duration::from_secs(2));
    way.engine.wake_worker();
    way.until(Status::Done).await;
    let seen: Vec<_> = way.recorder.runs().iter().map(|r| r.event.body().bytes().clone()).collect();
    assert_eq!(seen, ["old", "new", "new"]);
    assert_eq!(way.only().await.event.body().bytes(), "old", "what was received stays");
    worker.stop(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn stopping_gives_back_what_runs_and_the_attempt_does_not_count() {
    let way = way("", ALL, vec![Play::Hang]);
    way.post("id-1", "{}").await;
    let worker = way.work();
    way.until_runs(1).await;
    worker.stop(Duration::from_millis(50)).await;
    let job = &way.only().await.jobs[0];
    assert_eq!((job.state, job.attempt), (JobState::Pending, 0));
    let worker = way.work();
    way.until(Status::Done).await;
    worker.stop(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn a_route_never_has_more_jobs_at_once_than_its_concurrency() {
    let routes = "  - { name: r, events: github/**, chain: [record], concurrency: 3 }\n";
    let way = way("", routes, vec![Play::Hang; 3]);
    for n in 0..10 {
        way.post(&n.to_string(), &n.to_string()).await;
    }
    let worker = way.work();
    way.until_runs(3).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(way.recorder.runs().len(), 3);
    worker.stop(Duration::from_millis(10)).await;
}

/// A store that is away when it is told to be.
#[derive(Debug, Default)]
struct Fails {
    inner: MemoryStore,
    with: std::sync::Mutex<Option<StoreError>>,
    hangs: std::sync::atomic::AtomicBool,
    panics: std::sync::atomic::AtomicBool,
    /// Extends nothing, and says that it did.
    deaf: std::sync::atomic::AtomicBool,
    wake: tokio::sync::Notify,
}

impl Fails {
    fn panics(&self) {
        let panics = self.panics.load(std::sync::atomic::Ordering::SeqCst);
        assert!(!panics, "a secret of the sender");
    }

    async fn trouble(&self) -> Result<(), StoreError> {
        self.panics();
        if self.hangs.load(std::sync::atomic::Ordering::SeqCst) {
            self.wake.notified().await;
        }
        self.with.lock().unwrap().clone().map_or(Ok(()), Err)
    }
}

#[async_trait]
impl Store for Fails {
    async fn accept(&self, deliveries: Vec<NewDelivery>) -> Result<Vec<Acceptance>, StoreError> {
        self.trouble().await?;
        self.inner.accept(deliveries).await
    }
    async fn claim(&self, want: Claim) -> Result<Vec<Job>, StoreError> {
        self.trouble().await?;
        self.inner.claim(want).await
    }
    async fn settle(&self, outcomes: Vec<JobOutcome>) -> Result<Vec<Settled>, StoreError> {
        self.trouble().await?;
        self.inner.settle(outcomes).await
    }
    async fn extend(
        &self,
        leases: Vec<Lease>,
        until: Timestamp,
    ) -> Result<Vec<Settled>, StoreError> {
        self.panics();
        if self.deaf.load(std::sync::atomic::Ordering::SeqCst) {
            return Ok(vec![Settled::Applied; leases.len()]);
        }
        self.inner.extend(leases, until).await
    }
    async fn purge(&self, what: Purge) -> Result<u64, StoreError> {
        self.panics();
        self.inner.purge(what).await
    }
    async fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        self.panics();
        self.inner.next_due().await
    }
    async fn depth(&self) -> Result<Depth, StoreError> {
        self.panics();
        self.inner.depth().await
    }
    async fn check(&self) -> Result<(), StoreError> {
        self.trouble().await
    }
    async fn close(&self) {
        self.panics();
    }
    fn durable(&self) -> bool {
        self.panics();
        true
    }
    fn browse(&self) -> Option<&dyn Browse> {
        self.panics();
        self.inner.browse()
    }
}

#[tokio::test]
async fn a_store_that_is_away_means_503_and_come_back_and_nothing_kept() {
    let store = Arc::new(Fails::default());
    let way = way_over(store.clone(), "", ALL, vec![]);
    *store.with.lock().unwrap() = Some(StoreError::Full("no room".to_owned()));
    let reply = way.post("id-1", "{}").await;
    assert_eq!((reply.status.as_u16(), code(&reply).as_str()), (503, "STORE_UNAVAILABLE"));
    assert!(reply.headers.iter().any(|(name, _)| name == "retry-after"));
    *store.with.lock().unwrap() = None;
    assert_eq!(way.post("id-1", "{}").await.status, 200);
    way.only().await;
}

#[tokio::test]
async fn a_store_that_can_no_longer_be_trusted_ends_the_accepting() {
    let store = Arc::new(Fails::default());
    let way = way_over(store.clone(), "", ALL, vec![]);
    *store.with.lock().unwrap() = Some(StoreError::Failed("a sync failed".to_owned()));
    assert_eq!(way.post("id-1", "{}").await.status, 503);
    way.engine.until_failed().await;
    *store.with.lock().unwrap() = None;
    assert_eq!(code(&way.post("id-1", "{}").await), "DRAINING");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_holds_up_a_sender_for_two_seconds_at_most() {
    let store = Arc::new(Fails::default());
    let way = way_over(store.clone(), "", ALL, vec![]);
    store.hangs.store(true, std::sync::atomic::Ordering::SeqCst);
    let before = tokio::time::Instant::now();
    let reply = way.post("id-1", "{}").await;
    assert_eq!(reply.status, 503);
    assert!(before.elapsed() <= Duration::from_secs(3));
    // Whoever asks how it is hears so at once, until the store answers again.
    store.hangs.store(false, std::sync::atomic::Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert!(way.engine.health_problem().await.unwrap().contains("two seconds"));
    store.wake.notify_waiters();
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(way.engine.health_problem().await, None);
}

/// A body that tells how long it is kept.
struct Held(Bytes, #[allow(dead_code, reason = "its drop is what counts")] Arc<()>);

impl ReadBody for Held {
    async fn read(&mut self, _: usize) -> Result<Bytes, ReadError> {
        Ok(self.0.clone())
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_hanging_store_was_given_counts_as_taken_and_is_bounded_in_number() {
    let store = Arc::new(Fails::default());
    let way = way_over(store.clone(), "", ALL, vec![]);
    store.hangs.store(true, std::sync::atomic::Ordering::SeqCst);
    let held = Arc::new(());
    let posts = (0..3000).map(|n| {
        let body = Held(Bytes::from_static(b"{}"), held.clone());
        let (engine, head) = (way.engine.clone(), way.head(&format!("id-{n}"), "{}", "s"));
        tokio::spawn(async move { code(&engine.receive(head, body).await) })
    });
    let mut codes = BTreeMap::new();
    for post in posts.collect::<Vec<_>>() {
        *codes.entry(post.await.unwrap()).or_insert(0) += 1;
    }
    let expected = [("OVERLOADED".to_owned(), 3000 - 2048), ("STORE_UNAVAILABLE".to_owned(), 2048)];
    assert_eq!(codes, BTreeMap::from(expected));
    // All were answered; what the store was given is in memory still.
    assert_eq!(Arc::strong_count(&held), 2048 + 1);
    store.hangs.store(false, std::sync::atomic::Ordering::SeqCst);
    store.wake.notify_waiters();
    while Arc::strong_count(&held) > 1 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(way.post("id-late", "{}").await.status, 200);
}

#[tokio::test]
async fn an_outcome_is_not_lost_when_the_store_is_away_for_a_moment() {
    let store = Arc::new(Fails::default());
    let way = way_over(store.clone(), "", ALL, vec![Play::Slow(Duration::from_millis(100))]);
    way.post("id-1", "{}").await;
    let worker = way.work();
    way.until_runs(1).await;
    *store.with.lock().unwrap() = Some(StoreError::Unavailable("away".to_owned()));
    tokio::time::sleep(Duration::from_millis(300)).await;
    *store.with.lock().unwrap() = None;
    way.until(Status::Done).await;
    assert_eq!(way.recorder.runs().len(), 1);
    worker.stop(Duration::from_secs(5)).await;
}

/// The sooner the process ends, the sooner a new one recovers: nothing waits for an answer that will
/// not come.
#[tokio::test]
async fn an_outcome_that_the_store_will_never_take_does_not_hold_up_the_end() {
    let store = Arc::new(Fails::default());
    let way = way_over(store.clone(), "", ALL, vec![Play::Slow(Duration::from_millis(100))]);
    way.post("id-1", "{}").await;
    let worker = way.work();
    way.until_runs(1).await;
    *store.with.lock().unwrap() = Some(StoreError::Failed("a sync failed".to_owned()));
    way.engine.until_failed().await;
    let asked = std::time::Instant::now();
    worker.stop(Duration::from_secs(15)).await;
    assert!(asked.elapsed() < Duration::from_secs(3), "{:?}", asked.elapsed());
}

#[tokio::test]
async fn a_queued_job_whose_route_is_gone_is_unrouted_and_whose_step_is_gone_is_dead() {
    let way = way("", ALL, vec![Play::Fail]);
    way.post("id-1", "{}").await;
    let worker = way.work();
    way.until_runs(1).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    let other = "  - { name: r, events: github/**, chain: [{ handler: record, name: other }] }\n";
    way.engine.reload(self::way("", other, vec![]).engine_plan()).unwrap();
    way.clock.advance(Duration::from_secs(5));
    way.engine.wake_worker();
    let detail = way.until(Status::Dead).await;
    assert!(detail.jobs[0].reason.as_ref().unwrap().contains("`record` is no longer"));
    let gone = "  - { name: q, events: github/**, chain: [record] }\n";
    let id = detail.event.id();
    way.engine.replay_event(id, None).await.unwrap();
    worker.stop(Duration::from_secs(5)).await;
    way.engine.reload(self::way("", gone, vec![]).engine_plan()).unwrap();
    let worker = way.work();
    way.until(Status::Unrouted).await;
    worker.stop(Duration::from_secs(5)).await;
}

impl Way {
    /// The configuration alone, for a reload.
    fn engine_plan(self) -> hookward_engine::compiled::CompiledConfig {
        let config = self.engine.config();
        drop(self.engine);
        Arc::try_unwrap(config).unwrap_or_else(|_| panic!("the configuration is shared"))
    }
}

/// A lease ends although it was extended: the store hands the job out again.
#[tokio::test(start_paused = true)]
async fn a_job_that_is_handed_out_again_keeps_its_new_lease_when_its_older_run_ends() {
    let routes = "  - { name: r, events: github/**, chain: [{ handler: record, timeout: 10m }] }\n";
    let store = Arc::new(Fails::default());
    let script = vec![Play::Slow(Duration::from_secs(3)), Play::Hang];
    let way = way_over(store.clone(), "", routes, script);
    way.post("id-1", "{}").await;
    let worker = way.work();
    way.until_runs(1).await;
    store.deaf.store(true, std::sync::atomic::Ordering::SeqCst);
    way.clock.advance(Duration::from_secs(31));
    way.engine.wake_worker();
    way.until_runs(2).await;
    store.deaf.store(false, std::sync::atomic::Ordering::SeqCst);
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_secs(5)).await;
        way.clock.advance(Duration::from_secs(5));
        way.engine.wake_worker();
    }
    assert_eq!(way.recorder.runs().len(), 2, "the second run's lease was left to end");
    worker.stop(Duration::from_millis(10)).await;
    assert_eq!(way.only().await.jobs[0].state, JobState::Pending, "it was given back");
}

#[tokio::test(start_paused = true)]
async fn a_route_without_a_free_slot_delays_no_retry_of_another() {
    let routes = concat!(
        "  - { name: a, events: github/**, match: { /r: [a] }, chain: [record], concurrency: 1 }\n",
        "  - { name: b, events: github/**, match: { /r: [b] }, chain: [record],",
        " retry: { first_delay: 1s, jitter: none } }\n"
    );
    let way = way("", routes, vec![Play::Hang, Play::Fail]);
    let worker = way.work();
    way.post("id-1", r#"{"r":"a","n":1}"#).await;
    way.until_runs(1).await;
    way.post("id-2", r#"{"r":"a","n":2}"#).await;
    way.post("id-3", r#"{"r":"b"}"#).await;
    way.until_runs(2).await;
    let mut waited = Duration::ZERO;
    while way.recorder.runs().len() < 3 {
        let step = Duration::from_millis(50);
        tokio::time::sleep(step).await;
        way.clock.advance(step);
        waited += step;
    }
    assert!(waited < Duration::from_secs(2), "a delay of 1 s took {waited:?}");
    worker.stop(Duration::from_millis(10)).await;
}

#[tokio::test]
async fn a_rate_of_more_than_one_a_millisecond_is_a_limit_too() {
    let way = way("limits: { rate: 3000/s, burst: 2 }", ALL, vec![]);
    assert_eq!(way.post("id-1", "1").await.status, 200);
    assert_eq!(way.post("id-2", "2").await.status, 200);
    assert_eq!(code(&way.post("id-3", "3").await), "RATE_LIMITED");
    way.clock.advance(Duration::from_millis(1));
    assert_eq!(way.post("id-3", "3").await.status, 200);
}

/// Finds every request wrong in one way.
#[derive(Debug)]
struct Refusing(VerifyError);

#[async_trait]
impl Provider for Refusing {
    fn precheck(&self, _: &Head) -> Result<(), VerifyError> {
        Ok(())
    }
    async fn verify(&self, _: &Request, _: &VerifyCx<'_>) -> Result<Verification, VerifyError> {
        Err(self.0.clone())
    }
    fn identify(&self, _: &Verified) -> Result<Vec<Identity>, IdentifyError> {
        Ok(Vec::new())
    }
}

/// A way whose only source has this provider.
fn way_of(provider: impl Provider) -> Way {
    let mut config = way("", ALL, vec![]).engine_plan();
    let (name, source) = config.sources.pop_first().unwrap();
    config.sources_by_path.clear();
    let source = Arc::into_inner(source).unwrap();
    let source = Arc::new(Source { provider: Arc::new(provider), ..source });
    config.sources_by_path.insert(source.path.clone(), source.clone());
    config.sources.insert(name, source);
    let way = way("", ALL, vec![]);
    way.engine.reload(config).unwrap();
    way
}

fn bare_head() -> Head {
    Head {
        method: http::Method::POST,
        target: "/webhooks/github".to_owned(),
        client: "203.0.113.10".parse().ok(),
        ..Head::default()
    }
}

#[tokio::test]
async fn keys_that_are_away_are_no_failed_proof_and_lock_nobody_out() {
    let way = way_of(Refusing(VerifyError::KeyUnavailable { reason: "away".into() }));
    for n in 0..100 {
        let reply = way.engine.receive(bare_head(), Bytes::from_static(b"{}")).await;
        assert_eq!((reply.status.as_u16(), code(&reply).as_str()), (503, "KEY_UNAVAILABLE"), "{n}");
    }
}

#[tokio::test]
async fn a_refused_reload_names_the_store_without_its_password() {
    let way = way("", ALL, vec![]);
    let mut config = self::way("", ALL, vec![]).engine_plan();
    for (url, shown) in [
        ("postgres://app:hunter2@db.example/hooks", "postgres://***@db.example/hooks"),
        ("postgres:app:hunter2@db.example/hooks", "postgres://***@db.example/hooks"),
        ("redis://h/0?password=hunter2", "redis://h/0?***"),
        ("sqlite:other.db", "sqlite:other.db"),
    ] {
        config.store.url = url.to_owned();
        let (again, error) = (config.store.clone(), way.engine.reload(config).unwrap_err());
        assert!(error.to_string().contains(&format!("to `{shown}`")), "{error}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
        config = self::way("", ALL, vec![]).engine_plan();
        config.store = again;
    }
}
