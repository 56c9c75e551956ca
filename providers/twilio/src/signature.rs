//! Verifies the signature: an HMAC over the URL and, for forms, the sorted parameters (twilio.com,
//! "Webhooks security"). The provider calls this module.

use std::collections::{BTreeMap, BTreeSet};

use hookward_core::crypto::{Encoding, HmacAlgorithm, HmacContext, Tag, tokens_equal};
use hookward_core::scheme::{form_pairs, form_value};
use hookward_core::{Head, Request, VerifyCx, VerifyError};
use http::header;
use sha2::{Digest, Sha256};

use crate::url;

pub(crate) const SIGNATURE_HEADER: &str = "x-twilio-signature";
const SETTINGS_HEADER: &str = "x-twilio-webhooks-signature-settings";
/// The query parameter with the hash of a body that is not a form.
pub(crate) const BODY_HASH_PARAMETER: &str = "bodySHA256";

/// Parses a head: returns the algorithm and the tag.
pub(crate) fn parse_head(head: &Head) -> Result<(HmacAlgorithm, Tag), VerifyError> {
    let text = head.required(SIGNATURE_HEADER)?;
    let settings = head.single(SETTINGS_HEADER)?;
    let alg = algorithm(settings.unwrap_or_default())?;
    let length = alg.tag_len();
    if let Some(tag) = Tag::decode(text, Encoding::Base64, length..=length) {
        return Ok((alg, tag));
    }
    // A tag of 32 bytes is made with a shared key; a proxy must have dropped the header that names
    // the algorithm.
    if settings.is_none() && Tag::decode(text, Encoding::Base64, 32..=32).is_some() {
        return Err(VerifyError::missing_signature(format!("the header {SETTINGS_HEADER}")));
    }
    Err(VerifyError::invalid_format(format!("the signature is not base64 of {length} bytes")))
}

/// Parses `key=…,algorithm=HMAC_SHA256`. Without an algorithm it is HMAC-SHA-1 with the auth token.
fn algorithm(settings: &str) -> Result<HmacAlgorithm, VerifyError> {
    let mut named = settings
        .split(',')
        .filter_map(|part| part.split_once('='))
        .filter(|(name, value)| name.trim() == "algorithm" && !value.trim().is_empty())
        .map(|(_, value)| value.trim().to_ascii_uppercase());
    match (named.next().as_deref(), named.next()) {
        (None | Some("HMAC_SHA1"), None) => Ok(HmacAlgorithm::Sha1),
        (Some("HMAC_SHA256"), None) => Ok(HmacAlgorithm::Sha256),
        _ => Err(VerifyError::invalid_format(format!(
            "{SETTINGS_HEADER} names an unsupported algorithm; HMAC_SHA1 and HMAC_SHA256 are supported"
        ))),
    }
}

/// Verifies a request and returns the index of the secret that made its signature.
pub(crate) fn verify(request: &Request, cx: &VerifyCx<'_>) -> Result<usize, VerifyError> {
    let (alg, tag) = parse_head(&request.head)?;
    let url = request.url(cx.public_url).ok_or_else(|| {
        VerifyError::invalid_format(
            "Twilio signs the URL that it calls; set server.public_url to its scheme and host",
        )
    })?;
    let parameters = parameters(request)?;
    let (tags, spellings) = ([tag], url::spellings(&url));
    let mut found = None;
    for (index, secret) in cx.secrets.iter() {
        let Some(mac) = HmacContext::new(alg, secret.expose().as_bytes()) else { continue };
        for url in &spellings {
            let mut mac = mac.clone();
            mac.update(url.as_bytes());
            mac.update(&parameters);
            if mac.matches_any(&tags) && found.is_none() {
                found = Some(index);
            }
        }
    }
    found.ok_or(VerifyError::InvalidSignature)
}

/// Returns the signed text after the URL. A body that is not a form adds nothing; its hash in the
/// URL must match.
fn parameters(request: &Request) -> Result<Vec<u8>, VerifyError> {
    let body = request.body.bytes();
    let query = request.head.query().unwrap_or_default();
    if let Some(expected) = form_value(query.as_bytes(), BODY_HASH_PARAMETER)? {
        let hash = Encoding::Hex.encode(&Sha256::digest(body));
        return match tokens_equal(expected.to_ascii_lowercase().as_bytes(), hash.as_bytes()) {
            true => Ok(Vec::new()),
            false => Err(VerifyError::InvalidSignature),
        };
    }
    if !body.is_empty() && !is_form(&request.head) {
        return Err(VerifyError::missing_signature(format!(
            "the query parameter {BODY_HASH_PARAMETER}, which covers a body that is not a form,"
        )));
    }
    let mut sorted: BTreeMap<Vec<u8>, BTreeSet<Vec<u8>>> = BTreeMap::new();
    for (name, value) in form_pairs(body) {
        sorted.entry(name).or_default().insert(value);
    }
    let mut text = Vec::with_capacity(body.len());
    for (name, values) in &sorted {
        for value in values {
            text.extend_from_slice(name);
            text.extend_from_slice(value);
        }
    }
    Ok(text)
}

/// A body without a media type is read as a form, so the signature covers all of it.
fn is_form(head: &Head) -> bool {
    let Some(value) = head.headers.get(header::CONTENT_TYPE) else { return true };
    let essence = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded")
}
