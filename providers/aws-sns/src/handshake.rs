//! The set-up handshake: SNS sends a signed `SubscriptionConfirmation`, and delivers nothing until
//! its `SubscribeURL` has been called.

use hookward_core::{Handshake, HandshakeEffect, Reply, VerifyError};
use http::StatusCode;

use crate::message::Message;

/// Answers a verified `SubscriptionConfirmation`. With `topics`, the message is of one of them, and
/// the subscription is confirmed by calling its URL. Without `topics` no URL is called, because any
/// AWS customer can subscribe this endpoint to a topic.
pub(crate) fn answer(message: &Message<'_>, has_topics: bool) -> Result<Handshake, VerifyError> {
    let reply = Reply::empty(StatusCode::OK);
    if !has_topics {
        return Ok(reply.into());
    }
    let url = message.subscribe_url().ok_or_else(|| {
        VerifyError::invalid_format("SubscribeURL is not an https URL on an SNS host")
    })?;
    Ok(Handshake::new(reply).with_effect(HandshakeEffect::Confirm { url: url.to_owned() }))
}
