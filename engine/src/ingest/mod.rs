//! The ingest pipeline: from a request to a stored event and its answer, in six stages.
//!
//! ```text
//! verify ─► identify ─► validate ─► route ─► commit ─► answer
//! ```
//!
//! `Ingest::receive` is that sentence in code. Each stage is a function in the file of its name and
//! does not know the next one. Servers call `Engine::receive`, which runs the pipeline once for
//! each request on the receiving port.

mod answer;
mod body_budget;
mod bucket;
mod client_ip;
mod clock_step;
mod commit;
mod dedupe;
mod delivery_builder;
mod failed_proofs;
mod firewall;
mod handshake;
mod head_checks;
mod identify;
mod rejection;
mod rejection_log;
mod route;
mod source_rate;
mod unknown_path;
mod validate;
mod verify;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use hookward_core::keys::KeySource;
use hookward_core::{Clock, EventId, Head, Proof, Reply, Store, Timestamp};
use tokio::sync::Notify;

pub use body_budget::ReadBody;
#[doc(hidden)]
pub use client_ip::forwarded_for;
pub use client_ip::{client_group, resolve_client};
pub use rejection::{ReadError, Rejection};

use crate::compiled::{CompiledConfig, Source};
use crate::retention_clock::RetentionClock;
use crate::run_state::RunState;
use crate::telemetry;
use answer::{answer, answer_empty_batch};
use body_budget::{JsonMemory, parse_large_json};
use clock_step::ClockStepDetector;
use commit::CommitPermits;
use delivery_builder::DeliveryBuilder;
use failed_proofs::FailedProofs;
use handshake::answer_head_probe;
use identify::identify;
use rejection_log::RejectionLog;
use route::Router;
use source_rate::SourceRates;
use unknown_path::log_unknown_path;
use validate::validate;
use verify::Verification;

/// The pipeline and everything that bounds it. One per process; the `Engine` owns
/// it.
pub(crate) struct Ingest {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    keys: Arc<dyn KeySource>,
    retention_clock: Arc<RetentionClock>,
    run_state: Arc<RunState>,
    /// Notified when an accepted delivery has jobs; the worker's claim loop waits for it.
    work: Arc<Notify>,
    source_rates: SourceRates,
    failed_proofs: FailedProofs,
    commit_permits: CommitPermits,
    clock_steps: ClockStepDetector,
    json_memory: JsonMemory,
    router: Router,
    rejection_log: RejectionLog,
    generate_event_id: GenerateEventId,
}

/// Makes the id of a new event that is accepted at this time.
pub type GenerateEventId = fn(Timestamp) -> EventId;

/// One request as all stages see it: the configuration with which it began, and the facts of its
/// arrival.
pub(crate) struct RequestCx<'a> {
    config: &'a Arc<CompiledConfig>,
    source: &'a Arc<Source>,
    /// The sender's address, behind trusted proxies the one that they name.
    client: Option<IpAddr>,
    received_at: Timestamp,
    generate_event_id: GenerateEventId,
}

impl Ingest {
    /// Makes the pipeline over an open store. The other parts of the engine share the
    /// arguments.
    pub(crate) fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        keys: Arc<dyn KeySource>,
        retention_clock: Arc<RetentionClock>,
        run_state: Arc<RunState>,
        work: Arc<Notify>,
        generate_event_id: GenerateEventId,
    ) -> Self {
        Self {
            store,
            clock,
            keys,
            retention_clock,
            run_state,
            work,
            source_rates: SourceRates::default(),
            failed_proofs: FailedProofs::default(),
            commit_permits: CommitPermits::default(),
            clock_steps: ClockStepDetector::default(),
            json_memory: JsonMemory::default(),
            router: Router::default(),
            rejection_log: RejectionLog::default(),
            generate_event_id,
        }
    }

    /// Answers one request: finds its source by the path, runs the pipeline, and turns a rejection
    /// into its reply.
    pub(crate) async fn respond(
        &self,
        config: &Arc<CompiledConfig>,
        mut head: Head,
        body: impl ReadBody,
    ) -> Reply {
        let started = Instant::now();
        let trusted = &config.server.trusted_proxies;
        head.client = head.client.map(|peer| resolve_client(peer, &head.headers, trusted));
        let path = head.target.split('?').next().unwrap_or_default();
        // Exact: a prefix or a trailing slash would be a second address of a source, which its
        // sender does not know and its limits were not meant for.
        let Some(source) = config.sources_by_path.get(path) else {
            return self.reject_unknown_path(config, path, head.client);
        };
        // One reading for the whole request: signature, secrets, limits and the stored event agree
        // on it.
        let received_at = self.clock.now();
        let (client, generate_event_id) = (head.client, self.generate_event_id);
        let cx = RequestCx { config, source, client, received_at, generate_event_id };
        let reply = match self.receive(&cx, head, body).await {
            Ok(reply) => reply,
            Err(rejection) => self.reject(&source.name, client, &rejection),
        };
        telemetry::record_request_duration(started.elapsed());
        reply
    }

    /// Runs the six stages for one request. Returns a 2xx only after the event and its dedupe
    /// keys are durable.
    async fn receive(
        &self,
        cx: &RequestCx<'_>,
        head: Head,
        body: impl ReadBody,
    ) -> Result<Reply, Rejection> {
        self.observe_clock();
        if let Some(reply) = answer_head_probe(cx.source, &head)? {
            self.record_handshake(cx, &reply);
            return Ok(reply);
        }
        let Verification { proof, stored_body, budget } = self.verify(cx, head, body).await?;
        let verified = match proof {
            Proof::Genuine(verified) => verified,
            // There is no event in a handshake, so the other stages do not apply.
            Proof::Handshake(handshake) => return self.answer_handshake(cx, handshake).await,
        };
        // The next three stages read the body as JSON, on this thread unless it is large.
        parse_large_json(verified.body()).await;
        let events = identify(cx.source, &verified);
        if events.is_empty() {
            let reply = answer_empty_batch(cx.source, &verified);
            self.record_handshake(cx, &reply);
            return Ok(reply);
        }
        let mut delivery = DeliveryBuilder::new(cx, &verified);
        let events = events.into_iter().map(|event| validate(&verified, event)).collect();
        let verified = Arc::new(verified);
        for event in self.router.route(cx, &verified, delivery.headers(), events).await? {
            delivery.add(&verified, event);
        }
        let (mut delivery, summary) = delivery.build(verified, self.retention_clock.read())?;
        if let Some(body) = stored_body {
            delivery.body = body;
        }
        let rate = self.source_rates.reserve(cx.source, cx.received_at).await?;
        let acceptance = self.commit(delivery, budget, rate).await?;
        Ok(answer(cx.source, acceptance, summary))
    }

    /// Counts a rejection, logs it unless there are too many like it, and renders its reply.
    /// `source` is empty where the path names none.
    pub(crate) fn reject(
        &self,
        source: &str,
        client: Option<IpAddr>,
        rejection: &Rejection,
    ) -> Reply {
        let code = rejection.code();
        telemetry::count_rejection(source, code);
        if !source.is_empty() {
            telemetry::count_request(source, "rejected");
        }
        if let Some(left_out) = self.rejection_log.sample(source, code, client, self.clock.now()) {
            let (status, reason) = (rejection.status().as_u16(), rejection.reason());
            telemetry::log_rejection(source, code, status, client, &reason, left_out);
        }
        rejection.reply()
    }

    /// Like [`Self::reject`], for a path that belongs to no source: the log line shows the path.
    fn reject_unknown_path(
        &self,
        config: &CompiledConfig,
        path: &str,
        client: Option<IpAddr>,
    ) -> Reply {
        let rejection = Rejection::UnknownSource;
        let code = rejection.code();
        telemetry::count_rejection("", code);
        if let Some(left_out) = self.rejection_log.sample("", code, client, self.clock.now()) {
            log_unknown_path(config, path, client, left_out);
        }
        rejection.reply()
    }

    /// Reads the clocks, so that a step of the wall clock between two requests is noticed.
    pub(crate) fn observe_clock(&self) {
        self.clock_steps.observe(&*self.clock);
    }

    /// Whether some sender got no answer because the store is slow, and the store still has not
    /// answered.
    pub(crate) fn has_stalled_commits(&self) -> bool {
        self.commit_permits.has_stalled_commits()
    }
}

impl fmt::Debug for Ingest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ingest").field("store", &self.store).finish_non_exhaustive()
    }
}
