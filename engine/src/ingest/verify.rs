//! Stage 1, verify: from anyone's bytes to a delivery whose sender is proven.

use std::net::IpAddr;

use async_trait::async_trait;
use hookward_core::keys::{KeyDocument, KeyRequest, KeySource};
use hookward_core::{Body, Head, Proof, VerifyCx, VerifyError, precheck};
use http::HeaderName;
use http::header::CONTENT_TYPE;

use super::body_budget::{BodyBudget, ReadBody};
use super::client_ip::client_group;
use super::head_checks::{check_declared_size, check_head};
use super::rejection::Rejection;
use super::{Ingest, RequestCx};
use crate::telemetry;

impl Ingest {
    /// Proves who sent the request. The checks go from cheap to costly: those of the head come
    /// before the body is read, so that a request that cannot succeed costs no memory for its body.
    pub(super) async fn verify<B: ReadBody>(
        &self,
        cx: &RequestCx<'_>,
        head: Head,
        body: B,
    ) -> Result<(Proof, BodyBudget<B>), Rejection> {
        let source = cx.source;
        check_head(source, &head)?;
        self.check_capacity()?;
        let head = precheck(&*source.provider, head).map_err(|e| self.reject_unverified(cx, e))?;
        for name in source.dedupe.headers() {
            head.head().single(name).map_err(|e| self.reject_unverified(cx, e))?;
        }
        check_declared_size(source, head.head())?;

        let content_type = header_text(head.head(), &CONTENT_TYPE);
        let read_as =
            |bytes| Body::received(bytes, content_type, None).with_json_options(&source.json);
        let (body, mut budget) = BodyBudget::read(body, source.limits.body, read_as).await?;
        let keys = ClientKeys { keys: &*self.keys, client: cx.client.map(client_group) };
        let verify_cx = VerifyCx::new(cx.received_at, source.secrets_at(cx.received_at), &keys)
            .with_tolerance(source.tolerance)
            .with_public_url(cx.config.server.public_url.as_deref());
        let slot = self.failed_proofs.proof_slot(source, cx.client, cx.received_at).await;
        // After the slot: who waits for one must not hold memory that others wait for.
        budget.reserve_json(&body, cx.client, &self.json_memory).await?;
        let proved = head.prove(body, &verify_cx).await;
        drop(slot);
        let proof = proved.map_err(|e| self.reject_unverified(cx, e))?;
        match &proof {
            Proof::Genuine(verified) => {
                budget.mark_proven();
                telemetry::count_secret_match(&source.name, verified.secret_index());
                self.failed_proofs.record_genuine(source, cx.client, cx.received_at);
            }
            // A handshake whose answer is an error was not from the sender.
            Proof::Handshake(handshake) if handshake.reply.status.as_u16() >= 400 => {
                self.failed_proofs.count_failure(source, cx.client, cx.received_at);
            }
            Proof::Handshake(_) => {}
        }
        Ok((proof, budget))
    }

    /// Rejects while the process drains or the queue to the store is full.
    fn check_capacity(&self) -> Result<(), Rejection> {
        if self.run_state.is_draining() {
            return Err(Rejection::Draining);
        }
        self.commit_permits.check_free()
    }

    /// The rejection of a request that failed its proof, which counts against the client's address.
    fn reject_unverified(&self, cx: &RequestCx<'_>, error: VerifyError) -> Rejection {
        use VerifyError::{KeyUnavailable, TimestampInFuture, TimestampTooOld};
        if matches!(error, TimestampTooOld { .. } | TimestampInFuture { .. }) {
            // The clock may have been set while this request was under way, so it is read again.
            // The sender gets 503 instead of 401 and tries again: its signature may be genuine.
            self.observe_clock();
            if self.clock_steps.stepped_recently(&*self.clock) {
                return Rejection::ClockSuspect;
            }
        }
        // Without its key nothing was learned about the sender, so this is not its failure.
        if !matches!(error, KeyUnavailable { .. })
            && let Some(retry_after) =
                self.failed_proofs.count_failure(cx.source, cx.client, cx.received_at)
        {
            let reason = "too many failed proofs from this address";
            return Rejection::RateLimited { retry_after, reason };
        }
        Rejection::VerificationFailed(error)
    }
}

/// The source of keys for one request: names its client, among whose requests the source shares
/// what it fetches.
#[derive(Debug)]
struct ClientKeys<'a> {
    keys: &'a dyn KeySource,
    client: Option<IpAddr>,
}

#[async_trait]
impl KeySource for ClientKeys<'_> {
    async fn fetch(&self, request: &KeyRequest) -> Result<KeyDocument, VerifyError> {
        self.keys.fetch(&request.for_client(self.client)).await
    }

    async fn confirm(&self, url: &str) -> Result<(), VerifyError> {
        self.keys.confirm(url).await
    }
}

/// The value of a header; `None` where it is absent or not visible ASCII.
fn header_text<'a>(head: &'a Head, name: &HeaderName) -> Option<&'a str> {
    head.headers.get(name).and_then(|value| value.to_str().ok())
}
