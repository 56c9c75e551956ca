//! Stage 1, verify: from anyone's bytes to a delivery whose sender is proven.

use std::net::IpAddr;

use async_trait::async_trait;
use bytes::Bytes;
use hookward_core::keys::{KeyDocument, KeyRequest, KeySource};
use hookward_core::scheme::form_pairs;
use hookward_core::{Body, Head, MAX_COMPRESSION_RATIO, Proof, VerifyCx, VerifyError, precheck};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Method};

use super::body_budget::{BodyBudget, ReadBody, decompress};
use super::client_ip::client_group;
use super::head_checks::{check_declared_size, check_head};
use super::rejection::{ReadError, Rejection};
use super::{Ingest, RequestCx};
use crate::compiled::{FirewallRule, Source};
use crate::telemetry;

/// The media type of a query.
const FORM: &str = "application/x-www-form-urlencoded";

impl Ingest {
    /// Proves who sent the request. The checks go from cheap to costly: those of the head come
    /// before the body is read, so that a request that cannot succeed costs no memory for its body.
    pub(super) async fn verify<B: ReadBody>(
        &self,
        cx: &RequestCx<'_>,
        mut head: Head,
        body: B,
    ) -> Result<Verification<B>, Rejection> {
        let source = cx.source;
        check_head(source, &head)?;
        let query_event = query_event(source, &mut head);
        self.check_capacity()?;
        let head = precheck(&*source.provider, head).map_err(|e| self.reject_unverified(cx, e))?;
        for name in source.dedupe.headers() {
            head.head().single(name).map_err(|e| self.reject_unverified(cx, e))?;
        }
        check_declared_size(source, head.head())?;

        let content_type = header_text(head.head(), &CONTENT_TYPE).map(str::to_owned);
        let content_encoding = header_text(head.head(), &CONTENT_ENCODING).map(str::to_owned);
        let read_as = |bytes: Bytes| {
            let bytes = query_event.unwrap_or(bytes);
            Body::received(bytes, content_type.as_deref(), content_encoding.as_deref())
                .with_json_options(&source.json)
                .with_content_limit(source.limits.body)
        };
        let max = source.max_body_bytes();
        let read = BodyBudget::read(body, max, read_as).await;
        let (received, mut budget) = read.map_err(|rejection| match rejection {
            // A body in chunks declares no size in its head.
            Rejection::Body(ReadError::TooLarge) if max < source.limits.body => {
                Rejection::Firewall(FirewallRule::Size(max))
            }
            other => other,
        })?;
        let signs_content = source.decompress.as_ref().is_some_and(|d| d.signs_content);
        let decompressed = signs_content && received.is_compressed();
        let body = if decompressed {
            let content = self.content_for_proof(cx, &received, &mut budget).await?;
            Body::received(content, content_type.as_deref(), None).with_json_options(&source.json)
        } else {
            received.clone()
        };
        let keys = ClientKeys { keys: &*self.keys, client: cx.client.map(client_group) };
        let verify_cx = VerifyCx::new(cx.received_at, source.secrets_at(cx.received_at), &keys)
            .with_tolerance(source.tolerance)
            .with_public_url(cx.config.server.public_url.as_deref());
        let slot = self.failed_proofs.proof_slot(source, cx.client, cx.received_at).await;
        // After the slot: who waits for one must not hold memory that others wait for.
        // A compressed body is not parsed before it is proven.
        if !body.is_compressed() {
            budget.reserve_json(&body, cx.client, &self.json_memory).await?;
        }
        let proved = head.prove(body, &verify_cx).await;
        drop(slot);
        let proof = proved.map_err(|e| self.reject_unverified(cx, e))?;
        match &proof {
            Proof::Genuine(verified) => {
                budget.mark_proven();
                if verified.body().is_compressed() {
                    decompress(verified.body()).await;
                    budget.reserve_json(verified.body(), cx.client, &self.json_memory).await?;
                }
                telemetry::count_secret_match(&source.name, verified.secret_index());
                self.failed_proofs.record_genuine(source, cx.client, cx.received_at);
            }
            // A handshake whose answer is an error was not from the sender.
            Proof::Handshake(handshake) if handshake.reply.status.as_u16() >= 400 => {
                self.failed_proofs.count_failure(source, cx.client, cx.received_at);
            }
            Proof::Handshake(_) => {}
        }
        Ok(Verification { proof, stored_body: decompressed.then_some(received), budget })
    }

    /// The content of a body whose sender signs it decompressed. A stranger's bytes are
    /// decompressed here, within the limits of the source.
    async fn content_for_proof<B: ReadBody>(
        &self,
        cx: &RequestCx<'_>,
        body: &Body,
        budget: &mut BodyBudget<B>,
    ) -> Result<Bytes, Rejection> {
        let limit = cx.source.limits.body;
        let by_ratio = body.bytes().len().saturating_mul(MAX_COMPRESSION_RATIO);
        budget.reserve_content(limit.min(by_ratio))?;
        decompress(body).await;
        body.content().cloned().map_err(|e| {
            let error = VerifyError::invalid_format(e.to_string());
            self.reject_unverified(cx, error)
        })
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

/// What the first stage found out.
pub(super) struct Verification<B> {
    pub(super) proof: Proof,
    /// The body to store, where the proof covers its content.
    pub(super) stored_body: Option<Body>,
    pub(super) budget: BodyBudget<B>,
}

/// The event of a GET, where the source's are its query: the query as a form, without the parameter
/// that is the secret. The head then says that the body is a form. `None` for every other request.
fn query_event(source: &Source, head: &mut Head) -> Option<Bytes> {
    if head.method != Method::GET || !source.query_is_event {
        return None;
    }
    head.headers.insert(CONTENT_TYPE, HeaderValue::from_static(FORM));
    let secret = source.provider.scheme().and_then(|scheme| scheme.query_token());
    let is_secret = |pair: &&str| {
        let name = form_pairs(pair.as_bytes()).next().map(|(name, _)| name);
        secret.is_some() && name.as_deref() == secret.map(str::as_bytes)
    };
    let pairs = head.query().unwrap_or_default().split('&');
    let kept: Vec<&str> = pairs.filter(|pair| !is_secret(pair)).collect();
    Some(kept.join("&").into())
}

/// The value of a header; `None` where it is absent or not visible ASCII.
fn header_text<'a>(head: &'a Head, name: &HeaderName) -> Option<&'a str> {
    head.headers.get(name).and_then(|value| value.to_str().ok())
}
