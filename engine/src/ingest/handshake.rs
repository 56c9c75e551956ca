//! Set-up handshakes: the requests by which a sender registers this receiver. There is no event in
//! them. Their effect is carried out before they are answered; nothing is stored.

use std::io::ErrorKind;
use std::time::Duration;

use hookward_core::{Handshake, HandshakeEffect, Head, Reply, Secret, VerifyError};
use http::{Method, StatusCode};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::head_checks::check_head;
use super::rejection::Rejection;
use super::{Ingest, RequestCx};
use crate::compiled::Source;
use crate::telemetry;

/// Senders wait a few seconds for the answer. An effect that takes longer is answered with 503, and
/// the sender tries again.
const EFFECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Answers a HEAD request with an empty 200, where the source allows the method; `None` for every
/// other request. Senders try a URL with it before they save it. It carries no proof, so nothing of
/// it is read and nothing is stored; its body, if any, is never awaited.
///
/// # Errors
/// The rejection of a client address or another part of the head that the source does not allow.
pub(super) fn answer_head_probe(source: &Source, head: &Head) -> Result<Option<Reply>, Rejection> {
    if head.method != Method::HEAD {
        return Ok(None);
    }
    check_head(source, head)?;
    Ok(Some(Reply::empty(StatusCode::OK)))
}

impl Ingest {
    /// Counts and logs a request that was answered without an event. Whoever sends one need not be
    /// proven, so the log lines are sampled like those of rejections.
    pub(super) fn record_handshake(&self, cx: &RequestCx<'_>, reply: &Reply) {
        let source = &cx.source.name;
        telemetry::count_request(source, "handshake");
        let sampled = self.rejection_log.sample(source, "HANDSHAKE", cx.client, cx.received_at);
        if sampled.is_some() {
            telemetry::log_handshake(source, reply.status.as_u16());
        }
    }

    /// Carries out what the handshake asks for, and returns its answer.
    pub(super) async fn answer_handshake(
        &self,
        cx: &RequestCx<'_>,
        handshake: Handshake,
    ) -> Result<Reply, Rejection> {
        let source = cx.source;
        if let Some(effect) = handshake.effect {
            self.carry_out(source, effect).await.map_err(Rejection::VerificationFailed)?;
        }
        self.record_handshake(cx, &handshake.reply);
        Ok(handshake.reply)
    }

    async fn carry_out(&self, source: &Source, effect: HandshakeEffect) -> Result<(), VerifyError> {
        match effect {
            HandshakeEffect::Confirm { url } => {
                let confirming = timeout(EFFECT_TIMEOUT, self.keys.confirm(&url));
                confirming.await.map_err(|_| unavailable("the confirmation took too long"))?
            }
            HandshakeEffect::KeepSecret(secret) => store_secret(source, secret).await,
        }
    }
}

/// Writes the secret that the sender announced to the source's `secret_file`.
async fn store_secret(source: &Source, secret: Secret) -> Result<(), VerifyError> {
    let Some(secret_file) = source.secret_file.clone() else {
        return Err(unavailable("no `secret_file:` to keep the sender's secret in"));
    };
    let path = secret_file.file.clone();
    // The write syncs the file, which blocks its thread.
    match spawn_blocking(move || secret_file.save(secret)).await {
        Ok(Ok(())) => {
            telemetry::log_secret_stored(&source.name, &path);
            Ok(())
        }
        // The first secret stays: whoever announces a second one need not be the sender.
        Ok(Err(e)) if e.kind() == ErrorKind::AlreadyExists => Err(VerifyError::InvalidSignature),
        Ok(Err(e)) => {
            telemetry::log_secret_not_stored(&source.name, &path, &e.to_string());
            Err(unavailable("the sender's secret could not be written"))
        }
        Err(_) => Err(unavailable("the sender's secret could not be written")),
    }
}

fn unavailable(reason: &'static str) -> VerifyError {
    VerifyError::KeyUnavailable { reason: reason.into() }
}
