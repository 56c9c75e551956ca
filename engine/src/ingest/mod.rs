//! The accept pipeline: from a request to a stored event and its answer. [`Engine::receive`] is the
//! product's sentence; the files beside it are its words. Called by servers of any kind, for each
//! request on the receiving port.

mod checks;
mod client_ip;
mod clock_step;
mod commit;
mod dedupe;
mod delivery_builder;
mod handshake;
mod json_memory_limit;
mod limits;
mod rejection;

use std::future::Future;
use std::time::Instant;

use bytes::Bytes;
use hookward_core::store::{Acceptance, KeyKind};
use hookward_core::{
    Body, DeliveryOutcome, Head, Proof, Reply, Request, VerifyCx, VerifyError, prove,
};
use tokio::sync::SemaphorePermit;

#[doc(hidden)]
pub use client_ip::forwarded_for;
pub(crate) use clock_step::ClockStepDetector;
pub(crate) use commit::CommitPermits;
pub(crate) use json_memory_limit::JsonMemoryLimit;
pub(crate) use limits::Limiters;
pub use rejection::{ReadError, Rejection};

use crate::compiled::{CompiledConfig, Source};
use crate::engine::Engine;
use crate::telemetry;

/// A body that has not been read yet. The server bounds its time; the limit is the source's. It is
/// kept until the store has answered, even where the sender no longer waits for that: what it holds
/// back for the bytes in memory is held as long as they are.
pub trait ReadBody: Send + 'static {
    /// Reads it, at most `limit` bytes. Called once.
    fn read(&mut self, limit: usize) -> impl Future<Output = Result<Bytes, ReadError>> + Send;

    /// Whether there is memory for so many bytes beside what was read, for as long as this is kept.
    fn hold(&mut self, _bytes: usize) -> bool {
        true
    }
}

/// A body that is there already.
impl ReadBody for Bytes {
    async fn read(&mut self, limit: usize) -> Result<Bytes, ReadError> {
        if self.len() > limit { Err(ReadError::TooLarge) } else { Ok(std::mem::take(self)) }
    }
}

impl Engine {
    /// Takes a request from its head to its answer. A 2xx is given only after the event and its
    /// dedupe keys are durable.
    pub async fn receive(&self, mut head: Head, body: impl ReadBody) -> Reply {
        let start = Instant::now();
        let config = self.config();
        let trusted = &config.server.trusted_proxies;
        head.client = head.client.map(|peer| client_ip::address(peer, &head.headers, trusted));
        let path = head.target.split('?').next().unwrap_or_default();
        let Some(source) = config.sources_by_path.get(path) else {
            return self.refuse("", &Rejection::UnknownSource);
        };
        let reply = match self.take(&config, source, head, body).await {
            Ok(reply) => reply,
            Err(refusal) => self.refuse(&source.name, &refusal),
        };
        telemetry::request_duration_seconds(start.elapsed());
        reply
    }

    async fn take(
        &self,
        config: &CompiledConfig,
        source: &Source,
        head: Head,
        mut incoming: impl ReadBody,
    ) -> Result<Reply, Rejection> {
        let now = self.now();
        self.clock_is_suspect();
        checks::open_for_this(source, &head)?;
        self.limiters.may_try(source, head.client, now)?;
        self.accepting()?;
        let client = head.client;
        let forged = |e| {
            let by_time = matches!(
                e,
                VerifyError::TimestampTooOld { .. } | VerifyError::TimestampInFuture { .. }
            );
            if by_time && self.clock_is_suspect() {
                return Rejection::ClockSuspect;
            }
            // Without its key nothing was found out about the sender.
            if !matches!(e, VerifyError::KeyUnavailable { .. }) {
                self.limiters.spend_failure(source, client, now);
            }
            Rejection::VerificationFailed(e)
        };
        source.provider.precheck(&head).map_err(forged)?;
        checks::declared_size(source, &head)?;
        let body = incoming.read(source.limits.body).await?;

        let body = Body::new(body);
        let reading = self.reading.may_begin(&body).await?;
        let request = Request::new(head, body);
        let cx = VerifyCx {
            now,
            secrets: source.secrets_at(now),
            tolerance: source.tolerance,
            public_url: config.server.public_url.as_deref(),
            keys: &*self.keys,
        };
        let delivery = match prove(source.provider.as_ref(), request, &cx).await.map_err(forged)? {
            Proof::Genuine(delivery) => delivery,
            Proof::Handshake(handshake) => {
                if handshake.reply.status.as_u16() >= 400 {
                    self.limiters.spend_failure(source, client, now);
                }
                return self.shake(source, handshake).await;
            }
        };
        telemetry::secret_match(&source.name, delivery.secret());
        self.limiters.spend_rate(source, now)?;

        JsonMemoryLimit::beforehand(delivery.body()).await;
        let (retention_now, _) = self.retention_now();
        let record = delivery_builder::of(config, source, &delivery, now, retention_now)?;
        // What was read of it is the record's alone now.
        drop(delivery);
        self.commit(source, record, incoming, reading).await
    }

    /// Stores it, and gives the answer that was stored.
    async fn commit(
        &self,
        source: &Source,
        record: delivery_builder::Record,
        mut incoming: impl ReadBody,
        reading: Option<SemaphorePermit<'_>>,
    ) -> Result<Reply, Rejection> {
        let delivery_builder::Record { mut delivery, outcome } = record;
        // What was read of the body need not be read again later; but it may take far more memory.
        if !incoming.hold(delivery.body.memory_size() - delivery.body.bytes().len()) {
            JsonMemoryLimit::drop_parsed_json(&mut delivery.body);
        }
        drop(reading);
        let answer = delivery.answer.clone();
        let first = delivery.events.first().map(|e| (e.id.to_string(), e.event_type.clone()));
        let jobs = delivery.events.iter().map(|e| e.jobs.len()).sum();
        match self.store_one(delivery, incoming).await? {
            Acceptance::Duplicate { answer, of, by } => {
                let by = match by {
                    KeyKind::Id => "id",
                    KeyKind::Content => {
                        telemetry::duplicate_by_content(&source.name);
                        "content"
                    }
                };
                telemetry::request(&source.name, "duplicate");
                telemetry::duplicate(&source.name, &of.to_string(), by);
                Ok(answer)
            }
            Acceptance::Accepted { .. } => {
                let outcome = match outcome {
                    DeliveryOutcome::Accepted => "accepted",
                    DeliveryOutcome::Unrouted => "unrouted",
                    DeliveryOutcome::Invalid => "invalid",
                };
                telemetry::request(&source.name, outcome);
                if let Some((event, event_type)) = first {
                    telemetry::accepted(&source.name, &event, event_type.as_deref(), outcome, jobs);
                }
                Ok(answer)
            }
        }
    }

    /// Counts and logs a refusal, and makes its answer. `source` is empty where none is known yet.
    pub fn refuse(&self, source: &str, refusal: &Rejection) -> Reply {
        let code = refusal.code();
        telemetry::rejected(source, code);
        if !source.is_empty() {
            telemetry::request(source, "rejected");
        }
        telemetry::refused(source, code, refusal.status().as_u16(), &refusal.reason());
        refusal.reply()
    }
}
