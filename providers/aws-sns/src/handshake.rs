//! The set-up handshake: SNS sends a signed `SubscriptionConfirmation`, and delivers nothing before
//! its address has been called.

use hookward_core::{Handshake, HandshakeEffect, Reply, VerifyError};
use http::StatusCode;

use crate::message::Message;

/// The answer to a proven request to confirm, which is of one of `topics` where there are any: then
/// its address is called first. Without `topics` nothing is done.
pub(crate) fn answer(message: &Message<'_>, has_topics: bool) -> Result<Handshake, VerifyError> {
    let reply = Reply::empty(StatusCode::OK);
    if !has_topics {
        return Ok(reply.into());
    }
    let url = message.subscribe_url().ok_or_else(|| {
        VerifyError::invalid_format("SubscribeURL is no https address on a host of SNS")
    })?;
    Ok(Handshake { reply, effect: Some(HandshakeEffect::Confirm { url: url.to_owned() }) })
}
