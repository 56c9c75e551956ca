//! Selects the signature of a request that is verified, and checks its digest of the body. The
//! provider calls this module.

use hookward_core::crypto::Encoding;
use hookward_core::crypto::Tag;
use hookward_core::{Head, VerifyError};
use sha2::{Digest, Sha256, Sha512};

use crate::base;
use crate::fields::{self, BareItem, InnerList, Params};
use crate::key::KeyAlgorithm;

pub(crate) const DIGEST_HEADER: &str = "content-digest";

/// Requirements of the configuration for a signature.
#[derive(Debug, Clone)]
pub(crate) struct Requirements {
    pub(crate) alg: KeyAlgorithm,
    pub(crate) label: Option<String>,
    pub(crate) keyid: Option<String>,
    /// The components that must be covered; `None`: method and URL.
    pub(crate) covers: Option<Vec<String>>,
}

/// A parsed signature of a request.
#[derive(Clone)]
pub(crate) struct Input {
    pub(crate) list: InnerList,
    pub(crate) tag: Tag,
    pub(crate) created: i64,
    pub(crate) expires: Option<i64>,
}

impl Input {
    pub(crate) fn covers(&self, name: &str) -> bool {
        covers(&self.list, name)
    }

    pub(crate) fn nonce(&self) -> Option<&str> {
        text(&self.list, "nonce").filter(|nonce| !nonce.is_empty())
    }
}

/// Whether the whole value of a component is covered: as it is, in canonical form (`sf`) or as
/// bytes (`bs`). A single member of a dictionary (`key`) is less.
fn covers(list: &InnerList, name: &str) -> bool {
    let is_whole = |params: &Params| match params.as_slice() {
        [] => true,
        [(key, BareItem::Boolean(true))] => matches!(key.as_str(), "sf" | "bs"),
        _ => false,
    };
    list.items.iter().any(|(item, params)| item == name && is_whole(params))
}

fn param<'a>(list: &'a InnerList, name: &str) -> Option<&'a BareItem> {
    list.params.iter().find(|(key, _)| key == name).map(|(_, value)| value)
}

fn text<'a>(list: &'a InnerList, name: &str) -> Option<&'a str> {
    match param(list, name)? {
        BareItem::Text(text) => Some(text),
        _ => None,
    }
}

/// Selects the signature with the required label and key. If several match, the request is
/// rejected: verifying one of them would leave the choice to the sender.
pub(crate) fn select_signature(
    requirements: &Requirements,
    head: &Head,
) -> Result<Input, VerifyError> {
    let unread = |name: &str| {
        VerifyError::invalid_format(format!(
            "the header {name} is not a valid dictionary (RFC 8941)"
        ))
    };
    let lists = fields::parse_inner_lists(head.required("signature-input")?)
        .ok_or_else(|| unread("signature-input"))?;
    let signatures = fields::parse_byte_sequences(head.required("signature")?)
        .ok_or_else(|| unread("signature"))?;
    let wanted = |label: &str, list: &InnerList| {
        requirements.label.as_deref().is_none_or(|own| own == label)
            && requirements.keyid.as_deref().is_none_or(|own| text(list, "keyid") == Some(own))
    };
    let mut candidates = lists.into_iter().filter(|(label, list)| wanted(label, list));
    let (label, list) = match (candidates.next(), candidates.next()) {
        (Some(one), None) => one,
        (None, _) => {
            return Err(VerifyError::invalid_format(
                "no signature has the configured label and keyid",
            ));
        }
        _ => {
            return Err(VerifyError::invalid_format(
                "several signatures match; set `label` or `keyid`",
            ));
        }
    };
    let tag = signatures.iter().find(|(other, _)| *other == label).map(|(_, bytes)| bytes);
    let tag = tag.ok_or_else(|| {
        VerifyError::invalid_format(format!("the header signature has no member `{label}`"))
    })?;
    let tag = Tag::decode(
        &Encoding::Base64.encode(tag),
        Encoding::Base64,
        requirements.alg.algorithm().tag_len(),
    )
    .ok_or_else(|| {
        VerifyError::invalid_format("the signature has the wrong length for the algorithm")
    })?;
    if param(&list, "alg").is_some() && text(&list, "alg") != Some(requirements.alg.name()) {
        return Err(VerifyError::invalid_format(format!(
            "`alg` is not {}",
            requirements.alg.name()
        )));
    }
    let time = |name: &str| match param(&list, name) {
        None => Ok(None),
        Some(BareItem::Integer(secs)) if *secs >= 0 => Ok(Some(*secs)),
        Some(_) => Err(VerifyError::invalid_format(format!("`{name}` is not a time in seconds"))),
    };
    let (created, expires) = (time("created")?, time("expires")?);
    let created =
        created.ok_or_else(|| VerifyError::invalid_format("the signature has no `created`"))?;
    check_coverage(requirements, &list, head)?;
    base::check_components(&list, head)?;
    Ok(Input { list, tag, created, expires })
}

/// Checks that the signature covers the required components; anyone can change the others.
fn check_coverage(
    requirements: &Requirements,
    list: &InnerList,
    head: &Head,
) -> Result<(), VerifyError> {
    let not_covered = |what: &str| {
        Err(VerifyError::invalid_format(format!("the signature does not cover {what}")))
    };
    if let Some(names) = &requirements.covers {
        return names
            .iter()
            .find(|name| !covers(list, name))
            .map_or(Ok(()), |name| not_covered(name));
    }
    if !covers(list, "@method") {
        return not_covered("@method");
    }
    let query = covers(list, "@query") || head.query().is_none();
    let target = covers(list, "@request-target") || (covers(list, "@path") && query);
    match covers(list, "@target-uri") || (covers(list, "@authority") && target) {
        true => Ok(()),
        false => not_covered("@target-uri, nor @authority with @path and @query"),
    }
}

/// Checks the covered digest of the body (RFC 9530). A request with a body needs one.
pub(crate) fn check_digest(input: &Input, head: &Head, body: &[u8]) -> Result<(), VerifyError> {
    if !input.covers(DIGEST_HEADER) {
        return match body.is_empty() {
            true => Ok(()),
            false => Err(VerifyError::invalid_format(
                "the signature does not cover content-digest, so anyone could change the body",
            )),
        };
    }
    let digests = fields::parse_byte_sequences(head.required(DIGEST_HEADER)?).ok_or_else(|| {
        VerifyError::invalid_format(
            "the header content-digest is not a valid dictionary (RFC 8941)",
        )
    })?;
    let mut known = 0;
    for (name, digest) in &digests {
        let own = match name.as_str() {
            "sha-256" => Sha256::digest(body).to_vec(),
            "sha-512" => Sha512::digest(body).to_vec(),
            _ => continue,
        };
        if own != *digest {
            return Err(VerifyError::InvalidSignature);
        }
        known += 1;
    }
    match known {
        0 => Err(VerifyError::invalid_format("content-digest has neither sha-256 nor sha-512")),
        _ => Ok(()),
    }
}
