//! Checks that need only the head and the configuration: the cheapest part of verification.

use hookward_core::{ContentEncoding, Head};
use http::header;

use super::firewall::check_firewall;
use super::rejection::Rejection;
use crate::compiled::Source;

/// The media types that the log names. Another one is a sender's own words, which may be personal.
const COMMON_MEDIA_TYPES: [&str; 12] = [
    "application/json",
    "application/x-www-form-urlencoded",
    "multipart/form-data",
    "text/plain",
    "text/xml",
    "text/html",
    "application/xml",
    "application/octet-stream",
    "application/cloudevents+json",
    "application/cloudevents-batch+json",
    "application/x-ndjson",
    "application/gzip",
];

/// Rejects what the source's client certificates or firewall do not admit, and a method, a client
/// address, a content encoding or a media type that its sender does not use.
pub(super) fn check_head(source: &Source, head: &Head) -> Result<(), Rejection> {
    check_client_certificate(source, head)?;
    check_firewall(&source.firewall, head).map_err(Rejection::Firewall)?;
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
    check_content_encoding(source, head)?;
    let Some(content_type) = head.headers.get(header::CONTENT_TYPE) else { return Ok(()) };
    if source.media_types.is_empty() {
        return Ok(());
    }
    let essence =
        content_type.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if essence.is_empty() || source.media_types.iter().any(|m| m.eq_ignore_ascii_case(essence)) {
        return Ok(());
    }
    let is_common = |common: &&&str| essence.eq_ignore_ascii_case(common);
    let found = COMMON_MEDIA_TYPES.iter().find(is_common).copied();
    Err(Rejection::MediaType { found, allowed: source.media_types })
}

/// Rejects a content encoding that the source does not decompress.
fn check_content_encoding(source: &Source, head: &Head) -> Result<(), Rejection> {
    let allowed = source.decompress.as_ref().map_or(&[][..], |decompress| &decompress.encodings);
    let mut values = head.headers.get_all(header::CONTENT_ENCODING).iter();
    let Some(value) = values.next() else { return Ok(()) };
    let text = value.to_str().unwrap_or_default();
    let is_plain = text.eq_ignore_ascii_case("identity");
    let is_allowed = ContentEncoding::parse(text).is_some_and(|found| allowed.contains(&found));
    match values.next().is_none() && (is_plain || is_allowed) {
        true => Ok(()),
        false => Err(Rejection::ContentEncoding { allowed: allowed.to_vec() }),
    }
}

/// Rejects a client without a certificate where the source needs one, and one with another name.
fn check_client_certificate(source: &Source, head: &Head) -> Result<(), Rejection> {
    if !source.needs_client_certificate {
        return Ok(());
    }
    let certificate = head.client_certificate.as_ref();
    let certificate = certificate.ok_or(Rejection::ClientCertificateMissing)?;
    if source.client_subjects.is_empty() || certificate.is_named(&source.client_subjects) {
        return Ok(());
    }
    Err(Rejection::ClientNotAllowed { subject: certificate.subject.clone() })
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
