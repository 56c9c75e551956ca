//! Verifying by a compiled scheme.

use std::borrow::Cow;

use serde_json::Value;

use crate::crypto::{ProofAlgorithm, Tag, tokens_equal};
use crate::provider::VerifyCx;
use crate::request::{Head, Request};
use crate::scheme::compiled::{CompiledScheme, TimeSource};
use crate::scheme::field_location::{FieldLocation, json_text};
use crate::scheme::form::{form_text, non_empty};
use crate::scheme::signature_extract::{ExtractedSignature, single_pair};
use crate::scheme::spec::SignatureLocation;
use crate::scheme::template::Segment;
use crate::scheme::timestamp;
use crate::verify_error::VerifyError;

/// A piece of the signed message; `None` is the key.
type Part<'a> = Option<Cow<'a, [u8]>>;

impl CompiledScheme {
    /// From the head alone: is everything that belongs there, and is it well-formed?
    pub fn precheck(&self, head: &Head) -> Result<(), VerifyError> {
        self.read_head(head).map(drop)
    }

    /// Index of the secret that made the signature.
    pub fn verify(&self, request: &Request, cx: &VerifyCx<'_>) -> Result<usize, VerifyError> {
        let in_head = self.read_head(&request.head)?;
        let json = if self.needs_json() { request.body.json().ok() } else { None };
        let given = match in_head {
            Some(given) => given,
            None => self.extract_from_body(request, json)?,
        };
        let stamp = match &self.timestamp {
            Some(spec) => Some((spec, spec.text(&given, request, json)?)),
            None => None,
        };
        let secret = match self.alg {
            None => self.match_token(&given, cx)?,
            Some(alg) => {
                let text = stamp.as_ref().map(|(_, text)| text.as_ref());
                let parts = self.message_parts(&given, text, request, json, cx)?;
                self.match_tag(alg, &self.tags(&given)?, &parts, cx)?
            }
        };
        if let Some((spec, text)) = stamp {
            timestamp::check(spec, &text, cx)?;
        }
        Ok(secret)
    }

    /// The part of a proof that needs no body: what [`CompiledScheme::precheck`] refuses is refused
    /// by `verify` with the same words, because both begin here. Gives the signature if it is here.
    fn read_head<'a>(
        &'a self,
        head: &'a Head,
    ) -> Result<Option<ExtractedSignature<'a>>, VerifyError> {
        let given = match self.signature.place {
            SignatureLocation::Header | SignatureLocation::Query => {
                let given = self.extract_from_head(head)?;
                self.tags(&given)?;
                Some(given)
            }
            SignatureLocation::Json | SignatureLocation::Form => None,
        };
        for segment in &self.message {
            match (segment, &given) {
                (Segment::Header(name), _) => drop(non_empty(head.required(name)?, name)?),
                (Segment::Sig(key), Some(given)) => drop(single_pair(given, key)?),
                _ => {}
            }
        }
        let time = match (self.timestamp.as_ref().map(|t| &t.from), &given) {
            (Some(TimeSource::At(FieldLocation::Header(name))), _) => {
                Some(non_empty(head.required(name)?, name)?)
            }
            (Some(TimeSource::Sig(key)), Some(given)) => Some(single_pair(given, key)?),
            _ => None,
        };
        if let (Some(spec), Some(text)) = (&self.timestamp, time) {
            timestamp::parse(text, spec.unit).ok_or_else(timestamp::bad)?;
        }
        self.naming.precheck(head)?;
        Ok(given)
    }

    fn needs_json(&self) -> bool {
        self.signature.place == SignatureLocation::Json
            || self.message.iter().any(|s| matches!(s, Segment::Json(_)))
            || self
                .timestamp
                .as_ref()
                .is_some_and(|t| matches!(&t.from, TimeSource::At(a) if a.reads_json()))
    }

    fn match_token(
        &self,
        given: &ExtractedSignature<'_>,
        cx: &VerifyCx<'_>,
    ) -> Result<usize, VerifyError> {
        let matches = |configured: &[u8]| {
            let same = |c: &Cow<'_, str>| tokens_equal(c.as_bytes(), configured);
            if given.all {
                given.candidates.iter().all(same)
            } else {
                given.candidates.iter().any(same)
            }
        };
        let found = cx.secrets.iter().find(|(_, s)| self.key_bytes(s).is_some_and(|k| matches(&k)));
        found.map(|(index, _)| index).ok_or(VerifyError::InvalidSignature)
    }

    fn match_tag(
        &self,
        alg: ProofAlgorithm,
        tags: &[Tag],
        parts: &[Part<'_>],
        cx: &VerifyCx<'_>,
    ) -> Result<usize, VerifyError> {
        let mut found = None;
        for (index, secret) in cx.secrets.iter() {
            let Some(key) = self.key_bytes(secret) else { continue };
            let message: Vec<&[u8]> =
                parts.iter().map(|part| part.as_deref().unwrap_or(&key)).collect();
            if alg.matches_any(&key, &message, tags) && found.is_none() {
                found = Some(index);
            }
        }
        found.ok_or(VerifyError::InvalidSignature)
    }

    fn message_parts<'a>(
        &'a self,
        given: &ExtractedSignature<'a>,
        time: Option<&'a str>,
        request: &'a Request,
        json: Option<&Value>,
        cx: &VerifyCx<'_>,
    ) -> Result<Vec<Part<'a>>, VerifyError> {
        let text = |text: String| Cow::Owned(text.into_bytes());
        let resolve = |segment: &'a Segment| -> Result<Part<'a>, VerifyError> {
            Ok(Some(match segment {
                Segment::Key => return Ok(None),
                Segment::Literal(literal) => Cow::Borrowed(literal.as_bytes()),
                Segment::Body => Cow::Borrowed(request.body.bytes()),
                Segment::Timestamp => Cow::Borrowed(time.unwrap_or_default().as_bytes()),
                Segment::Method => Cow::Borrowed(request.head.method.as_str().as_bytes()),
                Segment::Url => text(request.url(cx.public_url).ok_or_else(|| {
                    VerifyError::invalid_format("this sender signs the URL; set server.public_url")
                })?),
                Segment::Header(name) => {
                    Cow::Borrowed(non_empty(request.head.required(name)?, name)?.as_bytes())
                }
                Segment::Sig(key) => Cow::Borrowed(single_pair(given, key)?.as_bytes()),
                Segment::Json(pointer) => text(json_text(json, pointer)?),
                Segment::Form(field) => text(form_text(request, field)?),
            }))
        };
        self.message.iter().map(resolve).collect()
    }
}
