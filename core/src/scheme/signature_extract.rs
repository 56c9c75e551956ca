//! Reads the signature of a request: finds its place, strips the prefix and splits the list. Called
//! by `verify`.

use std::borrow::Cow;

use crate::crypto::Tag;
use crate::request::{Head, Request};
use crate::scheme::compiled::CompiledScheme;
use crate::scheme::field_location::{BodyJson, texts_at_pointer};
use crate::scheme::form::{form_value, required_form_text};
use crate::scheme::spec::SignatureLocation;
use crate::verify_error::VerifyError;

/// Most elements of a list, and most headers of a family `name-*`. Bounds the work on one request.
const MAX_SIGNATURE_ELEMENTS: usize = 32;

/// What stands in the signature's place, not decoded yet.
pub(super) struct ExtractedSignature<'a> {
    /// The texts that may be the signature.
    pub(super) candidates: Vec<Cow<'a, str>>,
    /// Whether every candidate must match. Otherwise one is enough.
    pub(super) all_must_match: bool,
    /// Keys and values of the list, among them those that are not signatures.
    list: Vec<(&'a str, &'a str)>,
}

impl<'a> ExtractedSignature<'a> {
    /// Candidates that came without a list; one match is enough.
    fn any_of(candidates: Vec<Cow<'a, str>>) -> Self {
        Self { candidates, all_must_match: false, list: Vec::new() }
    }

    /// The value of a key in the list. The key must be there once, with a value.
    pub(super) fn list_value(&self, key: &str) -> Result<&'a str, VerifyError> {
        let mut values = self.list.iter().filter(|(k, _)| *k == key).map(|(_, v)| *v);
        match (values.next(), values.next()) {
            (Some(value), None) if !value.is_empty() => Ok(value),
            // Which of them the sender signed is unknown.
            (Some(_), Some(_)) => Err(VerifyError::invalid_format(format!(
                "the signature has several `{key}` elements"
            ))),
            _ => Err(VerifyError::invalid_format(format!("the signature has no `{key}` element"))),
        }
    }
}

impl CompiledScheme {
    /// Reads a signature that stands in the JSON or form body.
    pub(super) fn extract_from_body<'a>(
        &'a self,
        request: &Request,
        json: BodyJson<'_>,
    ) -> Result<ExtractedSignature<'a>, VerifyError> {
        let name = self.signature.name.as_str();
        if self.signature.location == SignatureLocation::Form {
            return self.split_list(Cow::Owned(required_form_text(request, name)?));
        }
        let missing =
            || VerifyError::missing_signature(format!("the signature at {name} of the body"));
        let texts =
            texts_at_pointer(json.read()?.ok_or_else(missing)?, name).ok_or_else(missing)?;
        if texts.is_empty() {
            return Err(missing());
        }
        let strip = |text| self.strip_prefix(Cow::Owned(text));
        let candidates = texts.into_iter().map(strip).collect::<Result<_, _>>()?;
        // With `*`, each item of a batch has a signature of its own, and one forged item must not
        // pass.
        let all_must_match = name.contains("/*");
        Ok(ExtractedSignature { candidates, all_must_match, list: Vec::new() })
    }

    /// Reads a signature that stands in a header, in several headers or in the query.
    pub(super) fn extract_from_head<'a>(
        &'a self,
        head: &'a Head,
    ) -> Result<ExtractedSignature<'a>, VerifyError> {
        let name = self.signature.name.as_str();
        if self.signature.location == SignatureLocation::Query {
            let query = head.query().unwrap_or_default();
            let value = form_value(query.as_bytes(), name)?.ok_or_else(|| {
                VerifyError::missing_signature(format!("the query parameter {name}"))
            })?;
            return self.split_list(Cow::Owned(value));
        }
        let Some(stem) = name.strip_suffix('*') else {
            return self.split_list(Cow::Borrowed(head.required(name)?));
        };
        let stem = stem.to_ascii_lowercase();
        let names = head.headers.keys().filter(|k| k.as_str().starts_with(&stem));
        let mut candidates = Vec::new();
        for header in names.take(MAX_SIGNATURE_ELEMENTS) {
            let one = self.split_list(Cow::Borrowed(head.required(header.as_str())?))?;
            candidates.extend(one.candidates);
        }
        if candidates.is_empty() {
            return Err(VerifyError::missing_signature(format!("a header {name}")));
        }
        Ok(ExtractedSignature::any_of(candidates))
    }

    /// Splits a list and strips the prefix of its signatures. Without a list, the text is the
    /// candidate.
    fn split_list<'a>(&'a self, text: Cow<'a, str>) -> Result<ExtractedSignature<'a>, VerifyError> {
        let spec = &self.signature;
        let (Some(separator), Cow::Borrowed(list)) = (spec.split, &text) else {
            return Ok(ExtractedSignature::any_of(vec![self.strip_prefix(text)?]));
        };
        let list: &'a str = list;
        let elements: Vec<&str> = list
            .split(separator.as_char())
            .map(|e| if spec.trim { e.trim() } else { e })
            .filter(|e| !e.is_empty())
            // One more than allowed, so that a longer list is recognised and not split to its end.
            .take(MAX_SIGNATURE_ELEMENTS + 1)
            .collect();
        if elements.len() > MAX_SIGNATURE_ELEMENTS {
            return Err(VerifyError::invalid_format(format!(
                "the signature has more than {MAX_SIGNATURE_ELEMENTS} elements"
            )));
        }
        // Elements of another form are skipped: a sender may add those of a later version.
        let strip = |e: &'a str| self.strip_prefix(Cow::Borrowed(e)).ok();
        let (Some(pair), Some(take)) = (spec.pair, &spec.take) else {
            let candidates: Vec<_> = elements.into_iter().filter_map(strip).collect();
            return match candidates.is_empty() {
                true => Err(VerifyError::invalid_format("the list has no signature in it")),
                false => Ok(ExtractedSignature::any_of(candidates)),
            };
        };
        let list: Vec<_> =
            elements.into_iter().filter_map(|e| e.split_once(pair.as_char())).collect();
        let signatures = list.iter().filter(|(key, _)| key == take);
        let candidates: Vec<_> = signatures.filter_map(|(_, value)| strip(value)).collect();
        if candidates.is_empty() {
            return Err(VerifyError::invalid_format(format!(
                "the signature has no `{take}` element"
            )));
        }
        Ok(ExtractedSignature { candidates, all_must_match: false, list })
    }

    fn strip_prefix<'a>(&self, text: Cow<'a, str>) -> Result<Cow<'a, str>, VerifyError> {
        let Some(prefix) = &self.signature.prefix else { return Ok(text) };
        let stripped = match text {
            Cow::Borrowed(t) => t.strip_prefix(prefix.as_str()).map(Cow::Borrowed),
            Cow::Owned(t) => t.strip_prefix(prefix.as_str()).map(|t| Cow::Owned(t.to_owned())),
        };
        stripped.ok_or_else(|| {
            VerifyError::invalid_format(format!("the signature does not start with `{prefix}`"))
        })
    }

    /// Decodes the candidates. Where one match is enough, malformed candidates are skipped as long
    /// as one can be decoded; where all must match, each must be decoded.
    pub(super) fn decode_tags(
        &self,
        signature: &ExtractedSignature<'_>,
    ) -> Result<Vec<Tag>, VerifyError> {
        let Some(alg) = self.alg else { return Ok(Vec::new()) };
        let spec = &self.signature;
        let length = alg.tag_len();
        let decode = |c: &Cow<'_, str>| Tag::decode(c, spec.encoding, length.clone());
        let tags: Vec<Tag> = signature.candidates.iter().filter_map(decode).collect();
        let lacks_one = signature.all_must_match && tags.len() < signature.candidates.len();
        if tags.is_empty() || lacks_one {
            let encoding = format!("{:?}", spec.encoding).to_lowercase();
            let bytes = match (length.start(), length.end()) {
                (least, most) if least == most => most.to_string(),
                (least, most) => format!("{least} to {most}"),
            };
            return Err(VerifyError::invalid_format(format!(
                "the signature is not {encoding} of {bytes} bytes"
            )));
        }
        Ok(tags)
    }
}
