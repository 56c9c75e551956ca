//! The one signature of a request that counts, and its digest of the body. Called by the provider.

use hookward_core::crypto::Encoding;
use hookward_core::crypto::Tag;
use hookward_core::{Head, VerifyError};
use sha2::{Digest, Sha256, Sha512};

use crate::base;
use crate::fields::{self, Bare, InnerList};
use crate::key::KeyAlgorithm;

pub(crate) const DIGEST: &str = "content-digest";

/// What the configuration demands.
#[derive(Debug, Clone)]
pub(crate) struct Demands {
    pub(crate) alg: KeyAlgorithm,
    pub(crate) label: Option<String>,
    pub(crate) keyid: Option<String>,
    /// The components that have to be covered; `None`: method and URL.
    pub(crate) covers: Option<Vec<String>>,
}

/// A signature of a request.
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

fn covers(list: &InnerList, name: &str) -> bool {
    list.items.iter().any(|(item, params)| item == name && params.is_empty())
}

fn param<'a>(list: &'a InnerList, name: &str) -> Option<&'a Bare> {
    list.params.iter().find(|(key, _)| key == name).map(|(_, value)| value)
}

fn text<'a>(list: &'a InnerList, name: &str) -> Option<&'a str> {
    match param(list, name)? {
        Bare::Text(text) => Some(text),
        _ => None,
    }
}

/// The signature with the demanded label and key; where several are left, which of them counts is
/// the sender's to guess, so all are refused.
pub(crate) fn choose(demands: &Demands, head: &Head) -> Result<Input, VerifyError> {
    let unread =
        |name: &str| VerifyError::invalid_format(format!("the header {name} cannot be read"));
    let lists = fields::lists(head.required("signature-input")?)
        .ok_or_else(|| unread("signature-input"))?;
    let signatures =
        fields::byte_sequences(head.required("signature")?).ok_or_else(|| unread("signature"))?;
    let wanted = |label: &str, list: &InnerList| {
        demands.label.as_deref().is_none_or(|own| own == label)
            && demands.keyid.as_deref().is_none_or(|own| text(list, "keyid") == Some(own))
    };
    let mut left = lists.into_iter().filter(|(label, list)| wanted(label, list));
    let (label, list) = match (left.next(), left.next()) {
        (Some(one), None) => one,
        (None, _) => {
            return Err(VerifyError::invalid_format(
                "no signature has the label and keyid that are set",
            ));
        }
        _ => return Err(VerifyError::invalid_format("several signatures; set `label` or `keyid`")),
    };
    let tag = signatures.iter().find(|(other, _)| *other == label).map(|(_, bytes)| bytes);
    let tag =
        tag.ok_or_else(|| VerifyError::invalid_format(format!("there is no signature `{label}`")))?;
    let tag = Tag::decode(
        &Encoding::Base64.encode(tag),
        Encoding::Base64,
        demands.alg.algorithm().tag_len(),
    )
    .ok_or_else(|| VerifyError::invalid_format("the signature has a wrong length"))?;
    if param(&list, "alg").is_some() && text(&list, "alg") != Some(demands.alg.name()) {
        return Err(VerifyError::invalid_format(format!("`alg` is not {}", demands.alg.name())));
    }
    let time = |name: &str| match param(&list, name) {
        None => Ok(None),
        Some(Bare::Integer(secs)) if *secs >= 0 => Ok(Some(*secs)),
        Some(_) => Err(VerifyError::invalid_format(format!("`{name}` is no time"))),
    };
    let (created, expires) = (time("created")?, time("expires")?);
    let created =
        created.ok_or_else(|| VerifyError::invalid_format("the signature has no `created`"))?;
    demanded(demands, &list, head)?;
    base::check(&list, head)?;
    Ok(Input { list, tag, created, expires })
}

/// What is not covered can be changed by anyone.
fn demanded(demands: &Demands, list: &InnerList, head: &Head) -> Result<(), VerifyError> {
    let lacks = |what: &str| {
        Err(VerifyError::invalid_format(format!("the signature does not cover {what}")))
    };
    if let Some(names) = &demands.covers {
        return names.iter().find(|name| !covers(list, name)).map_or(Ok(()), |name| lacks(name));
    }
    if !covers(list, "@method") {
        return lacks("@method");
    }
    let query = covers(list, "@query") || head.query().is_none();
    let target = covers(list, "@request-target") || (covers(list, "@path") && query);
    match covers(list, "@target-uri") || (covers(list, "@authority") && target) {
        true => Ok(()),
        false => lacks("@target-uri, nor @authority with @path and @query"),
    }
}

/// Whether the covered digest is that of the body. A request with a body needs one.
pub(crate) fn check_digest(input: &Input, head: &Head, body: &[u8]) -> Result<(), VerifyError> {
    if !input.covers(DIGEST) {
        return match body.is_empty() {
            true => Ok(()),
            false => Err(VerifyError::invalid_format(
                "the signature does not cover content-digest, so it leaves the body open",
            )),
        };
    }
    let digests = fields::byte_sequences(head.required(DIGEST)?)
        .ok_or_else(|| VerifyError::invalid_format("the header content-digest cannot be read"))?;
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
        0 => Err(VerifyError::invalid_format("content-digest holds neither sha-256 nor sha-512")),
        _ => Ok(()),
    }
}
