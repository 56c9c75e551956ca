//! What a request gives as its signature: found in its place, stripped of prefix and list. Called
//! by `verify`.

use std::borrow::Cow;

use serde_json::Value;

use crate::crypto::Tag;
use crate::request::{Head, Request};
use crate::scheme::compiled::{CompiledScheme, MAX_ELEMENTS};
use crate::scheme::field_location::texts_at;
use crate::scheme::form::{form_text, form_value};
use crate::scheme::spec::SignatureLocation;
use crate::verify_error::VerifyError;

/// What stands in the place of the signature: candidates, and the other keys of its list.
pub(super) struct ExtractedSignature<'a> {
    pub(super) candidates: Vec<Cow<'a, str>>,
    /// With `*` every candidate must match, else any.
    pub(super) all: bool,
    pub(super) pairs: Vec<(&'a str, &'a str)>,
}

impl CompiledScheme {
    pub(super) fn extract_from_body<'a>(
        &'a self,
        request: &Request,
        json: Option<&Value>,
    ) -> Result<ExtractedSignature<'a>, VerifyError> {
        let name = self.signature.name.as_str();
        if self.signature.place == SignatureLocation::Form {
            return self.split(Cow::Owned(form_text(request, name)?));
        }
        let missing =
            || VerifyError::missing_signature(format!("the signature at {name} of the body"));
        let texts = texts_at(json.ok_or_else(missing)?, name).ok_or_else(missing)?;
        if texts.is_empty() {
            return Err(missing());
        }
        let strip = |text| self.strip_prefix(Cow::Owned(text));
        let candidates = texts.into_iter().map(strip).collect::<Result<_, _>>()?;
        Ok(ExtractedSignature { candidates, all: name.contains("/*"), pairs: Vec::new() })
    }

    pub(super) fn extract_from_head<'a>(
        &'a self,
        head: &'a Head,
    ) -> Result<ExtractedSignature<'a>, VerifyError> {
        let name = self.signature.name.as_str();
        if self.signature.place == SignatureLocation::Query {
            let query = head.query().unwrap_or_default();
            let value = form_value(query.as_bytes(), name)?.ok_or_else(|| {
                VerifyError::missing_signature(format!("the query parameter {name}"))
            })?;
            return self.split(Cow::Owned(value));
        }
        let Some(stem) = name.strip_suffix('*') else {
            return self.split(Cow::Borrowed(head.required(name)?));
        };
        let stem = stem.to_ascii_lowercase();
        let names = head.headers.keys().filter(|k| k.as_str().starts_with(&stem));
        let mut given =
            ExtractedSignature { candidates: Vec::new(), all: false, pairs: Vec::new() };
        for header in names.take(MAX_ELEMENTS) {
            let one = self.split(Cow::Borrowed(head.required(header.as_str())?))?;
            given.candidates.extend(one.candidates);
        }
        if given.candidates.is_empty() {
            return Err(VerifyError::missing_signature(format!("a header {name}")));
        }
        Ok(given)
    }

    /// Takes prefix and list apart. Without a list there is one candidate.
    fn split<'a>(&'a self, text: Cow<'a, str>) -> Result<ExtractedSignature<'a>, VerifyError> {
        let spec = &self.signature;
        let (Some(separator), Cow::Borrowed(list)) = (spec.split, &text) else {
            let candidates = vec![self.strip_prefix(text)?];
            return Ok(ExtractedSignature { candidates, all: false, pairs: Vec::new() });
        };
        let list: &'a str = list;
        let elements: Vec<&str> = list
            .split(separator.as_char())
            .map(|e| if spec.trim { e.trim() } else { e })
            .filter(|e| !e.is_empty())
            .take(MAX_ELEMENTS + 1)
            .collect();
        if elements.len() > MAX_ELEMENTS {
            return Err(VerifyError::invalid_format(format!(
                "over {MAX_ELEMENTS} elements in the signature"
            )));
        }
        // Elements of another form are of no interest, such as those of a version yet to come.
        let strip = |e: &'a str| self.strip_prefix(Cow::Borrowed(e)).ok();
        let (Some(mark), Some(take)) = (spec.pair, &spec.take) else {
            let candidates: Vec<_> = elements.into_iter().filter_map(strip).collect();
            return match candidates.is_empty() {
                true => Err(VerifyError::invalid_format("the list holds no signature")),
                false => Ok(ExtractedSignature { candidates, all: false, pairs: Vec::new() }),
            };
        };
        let pairs: Vec<_> =
            elements.into_iter().filter_map(|e| e.split_once(mark.as_char())).collect();
        let taken = pairs.iter().filter(|(key, _)| key == take);
        let candidates: Vec<_> = taken.filter_map(|(_, value)| strip(value)).collect();
        if candidates.is_empty() {
            return Err(VerifyError::invalid_format(format!(
                "the signature has no `{take}` element"
            )));
        }
        Ok(ExtractedSignature { candidates, all: false, pairs })
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

    /// Decodes the candidates; those of a wrong form are passed over as long as one is right.
    pub(super) fn tags(&self, given: &ExtractedSignature<'_>) -> Result<Vec<Tag>, VerifyError> {
        let Some(alg) = self.alg else { return Ok(Vec::new()) };
        let spec = &self.signature;
        let length = alg.tag_len();
        let decode = |c: &Cow<'_, str>| Tag::decode(c, spec.encoding, length.clone());
        let tags: Vec<Tag> = given.candidates.iter().filter_map(decode).collect();
        if tags.is_empty() || (given.all && tags.len() < given.candidates.len()) {
            let form = format!("{:?}", spec.encoding).to_lowercase();
            let bytes = match (length.start(), length.end()) {
                (least, most) if least == most => most.to_string(),
                (least, most) => format!("{least} to {most}"),
            };
            return Err(VerifyError::invalid_format(format!(
                "the signature is not {form} of {bytes} bytes"
            )));
        }
        Ok(tags)
    }
}

/// The one value of a key of the list.
pub(super) fn single_pair<'a>(
    given: &ExtractedSignature<'a>,
    key: &str,
) -> Result<&'a str, VerifyError> {
    let mut values = given.pairs.iter().filter(|(k, _)| *k == key).map(|(_, v)| *v);
    match (values.next(), values.next()) {
        (Some(value), None) if !value.is_empty() => Ok(value),
        (Some(_), Some(_)) => {
            Err(VerifyError::invalid_format(format!("the signature has several `{key}` elements")))
        }
        _ => Err(VerifyError::invalid_format(format!("the signature has no `{key}` element"))),
    }
}
