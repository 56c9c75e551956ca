//! Checks that need only the head and the configuration: the cheapest part of verification.

use hookward_core::Head;
use http::header;

use super::rejection::Rejection;
use crate::compiled::Source;

/// Rejects a method, a client address, a content encoding or a media type that this source's sender
/// does not use.
pub(super) fn check_head(source: &Source, head: &Head) -> Result<(), Rejection> {
    if !source.methods.contains(&head.method) {
        return Err(Rejection::Method { allowed: source.methods.clone() });
    }
    let allowed = &source.limits.allow_ips;
    if !allowed.is_empty() {
        // Behind a dual-stack socket, IPv4 senders come as mapped addresses.
        let ip = head.client.map(|ip| ip.to_canonical());
        if !ip.is_some_and(|ip| allowed.iter().any(|net| net.contains(&ip))) {
            return Err(Rejection::IpNotAllowed);
        }
    }
    // Senders sign the bytes that they send. Decompressing before the proof would let anyone send a
    // bomb.
    let encoding = head.headers.get(header::CONTENT_ENCODING);
    if encoding.is_some_and(|e| !e.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return Err(Rejection::ContentEncoding);
    }
    let Some(content_type) = head.headers.get(header::CONTENT_TYPE) else { return Ok(()) };
    if source.media_types.is_empty() {
        return Ok(());
    }
    let essence =
        content_type.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if essence.is_empty() || source.media_types.iter().any(|m| m.eq_ignore_ascii_case(essence)) {
        return Ok(());
    }
    Err(Rejection::MediaType { allowed: source.media_types })
}

/// Rejects a `Content-Length` over the source's limit, before a byte of the body is read.
pub(super) fn check_declared_size(source: &Source, head: &Head) -> Result<(), Rejection> {
    let declared = head.headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok());
    match declared.and_then(|text| text.parse::<u64>().ok()) {
        Some(n) if usize::try_from(n).map_or(true, |n| n > source.limits.body) => {
            Err(Rejection::TooLarge { limit: source.limits.body })
        }
        _ => Ok(()),
    }
}
