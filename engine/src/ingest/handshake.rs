//! Set-up handshakes: what they want is done first, then they are answered.

use std::time::Duration;

use hookward_core::{Handshake, HandshakeEffect, Reply, VerifyError};

use crate::compiled::Source;
use crate::engine::Engine;
use crate::ingest::rejection::Rejection;
use crate::telemetry;

/// Senders wait a few seconds for an answer; past this they are asked to come again.
const EFFECT_TIMEOUT: Duration = Duration::from_secs(5);

impl Engine {
    pub(super) async fn shake(
        &self,
        source: &Source,
        handshake: Handshake,
    ) -> Result<Reply, Rejection> {
        if let Some(effect) = handshake.effect {
            self.carry_out(source, effect).await.map_err(Rejection::VerificationFailed)?;
        }
        telemetry::request(&source.name, "handshake");
        telemetry::handshake(&source.name, handshake.reply.status.as_u16());
        Ok(handshake.reply)
    }

    async fn carry_out(&self, source: &Source, effect: HandshakeEffect) -> Result<(), VerifyError> {
        let unavailable =
            |reason: &'static str| VerifyError::KeyUnavailable { reason: reason.into() };
        match effect {
            HandshakeEffect::Confirm { url } => {
                let confirmed = tokio::time::timeout(EFFECT_TIMEOUT, self.keys.confirm(&url));
                confirmed.await.map_err(|_| unavailable("the confirmation took too long"))?
            }
            HandshakeEffect::KeepSecret(secret) => {
                let Some(secret_file) = source.secret_file.clone() else {
                    return Err(unavailable("no `secret_file:` to keep the sender's secret in"));
                };
                let file = secret_file.file.clone();
                let kept = tokio::task::spawn_blocking(move || secret_file.save(secret)).await;
                match kept {
                    Ok(Ok(())) => {
                        telemetry::secret_kept(&source.name, &file);
                        Ok(())
                    }
                    Ok(Err(e)) if e.kind() == std::io::ErrorKind::AlreadyExists => {
                        Err(VerifyError::InvalidSignature)
                    }
                    Ok(Err(e)) => {
                        telemetry::secret_not_kept(&source.name, &file, &e.to_string());
                        Err(unavailable("the sender's secret could not be written"))
                    }
                    Err(_) => Err(unavailable("the sender's secret could not be written")),
                }
            }
        }
    }
}
