//! The engine from a request to a settled job, over the memory store, a clock that the test sets
//! and handlers that follow a script. One file for each subject; this one has what they share.
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
    Acceptance, Browse, ClaimRequest, EventDetail, EventFilter, EventStatus, Job, JobOutcome,
    JobState, Lease, NewDelivery, PurgeRequest, QueueDepth, RetentionState, Settled, StoreError,
};
use hookward_core::{
    Body, Clock, EventDraft, Handler, Head, IdentifyError, Identity, Provider, Reply, Request,
    Secret, Store, Timestamp, Verification, Verified, VerifyCx, VerifyError,
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

mod answers;
mod attempts;
mod bodies;
mod breaker;
mod captured_requests;
mod claims;
mod clock;
mod dedupe;
mod evaluation;
mod failing_store;
mod firewall;
mod panics;
mod rate_limits;
mod reload;
mod store_failures;

use failing_store::FailingStore;

const START: Timestamp = Timestamp::from_secs(1_760_000_000);

/// A route that takes every event and retries twice, after 2 s and 4 s.
const ALL_EVENTS: &str = "  - { name: r, events: github/**, chain: [record], retry: { attempts: 3, first_delay: 2s, jitter: none } }\n";

/// An engine with one source, the clock that the test sets, and a record of what its handlers ran.
struct Pipeline {
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

/// Builds a pipeline over a store. `source` adds keys to the source, `script` says what each run of
/// the handler does.
fn pipeline_over(store: Arc<dyn Store>, source: &str, routes: &str, script: Vec<Play>) -> Pipeline {
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
        builtin_schemas: &[("object", r#"{"type":"object"}"#)],
        handlers: &handlers,
        now: START,
    };
    let config =
        load_text(Path::new("routes.yaml"), &text, &cx).unwrap_or_else(|e| panic!("{e}")).config;
    let clock = FakeClock::at(START);
    let engine = Engine::new(config, store, Arc::new(clock.clone()));
    Pipeline { engine, clock, recorder }
}

/// Builds a pipeline over an empty memory store.
fn pipeline(source: &str, routes: &str, script: Vec<Play>) -> Pipeline {
    pipeline_over(Arc::new(MemoryStore::new()), source, routes, script)
}

impl Pipeline {
    /// Posts a correctly signed push with this delivery id.
    async fn post(&self, id: &str, body: &str) -> Reply {
        self.post_from(id, body, "s", None).await
    }

    async fn post_from(&self, id: &str, body: &str, secret: &str, client: Option<IpAddr>) -> Reply {
        let head = self.signed_head(id, body, secret).with_client(client);
        self.engine.receive(head, Bytes::from(body.to_owned())).await
    }

    /// The head of a push that is signed with this secret.
    fn signed_head(&self, id: &str, body: &str, secret: &str) -> Head {
        let provider: Arc<dyn Provider> = self.engine.config().sources["github"].provider.clone();
        let draft = EventDraft::new(
            "push".to_owned(),
            id.to_owned(),
            Body::new(body.to_owned()),
            "http://localhost/webhooks/github".to_owned(),
            self.clock.now(),
        );
        provider.signer().unwrap().sign(&draft, &Secret::new(secret)).unwrap().head
    }

    fn browse(&self) -> &dyn Browse {
        self.engine.store().browse().unwrap()
    }

    /// The only event of the store.
    async fn only_event(&self) -> EventDetail {
        let page = self.browse().list(&EventFilter::default(), 10, None).await.unwrap();
        assert_eq!(page.events.len(), 1);
        self.browse().show(page.events[0].id).await.unwrap().unwrap()
    }

    fn start_worker(&self) -> Worker {
        Worker::start(self.engine.clone(), tokio::runtime::Handle::current())
    }

    /// Waits until the only event has this status. The test's clock does not advance meanwhile.
    async fn until_status(&self, status: EventStatus) -> EventDetail {
        for _ in 0..2000 {
            let detail = self.only_event().await;
            if detail.summary.status == status {
                return detail;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("never {status:?}: {:?}", self.only_event().await.jobs)
    }

    /// Waits until the handlers have run this many steps.
    async fn until_runs(&self, runs: usize) {
        for _ in 0..2000 {
            if self.recorder.runs().len() >= runs {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("only {} runs", self.recorder.runs().len())
    }

    /// Drops everything but the configuration, for a reload of another pipeline.
    fn into_config(self) -> hookward_engine::compiled::CompiledConfig {
        let config = self.engine.config();
        drop(self.engine);
        Arc::try_unwrap(config).unwrap_or_else(|_| panic!("the configuration is shared"))
    }
}

/// The error code of a rejection; empty for any other reply.
fn code(reply: &Reply) -> String {
    let body: Value = serde_json::from_slice(&reply.body).unwrap();
    body["code"].as_str().unwrap_or_default().to_owned()
}

/// A provider that rejects every request with the same error.
#[derive(Debug)]
struct RejectingProvider(VerifyError);

#[async_trait]
impl Provider for RejectingProvider {
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

/// Builds a pipeline whose only source has this provider.
fn pipeline_with_provider(provider: impl Provider) -> Pipeline {
    let mut config = pipeline("", ALL_EVENTS, vec![]).into_config();
    let (name, source) = config.sources.pop_first().unwrap();
    config.sources_by_path.clear();
    let source = Arc::into_inner(source).unwrap();
    let source = Arc::new(Source { provider: Arc::new(provider), ..source });
    config.sources_by_path.insert(source.path.clone(), source.clone());
    config.sources.insert(name, source);
    let pipeline = pipeline("", ALL_EVENTS, vec![]);
    pipeline.engine.reload(config).unwrap();
    pipeline
}

/// The head of an unsigned request to the only source.
fn bare_head() -> Head {
    Head::default()
        .with_method(http::Method::POST)
        .with_target("/webhooks/github".to_owned())
        .with_client("203.0.113.10".parse().ok())
}
