//! Verifies a request by a compiled scheme.

use std::borrow::Cow;

use crate::crypto::{ProofAlgorithm, Tag, tokens_equal};
use crate::request::{Head, Request};
use crate::scheme::compiled::CompiledScheme;
use crate::scheme::compiled_timestamp::TimestampLocation;
use crate::scheme::field_location::{BodyJson, FieldLocation, required_json_text};
use crate::scheme::form::{non_empty_header, required_form_text};
use crate::scheme::signature_extract::ExtractedSignature;
use crate::scheme::spec::SignatureLocation;
use crate::scheme::template::Segment;
use crate::verification::VerifyCx;
use crate::verify_error::VerifyError;

/// A piece of the signed message with its value; `None` stands for the key, which differs by
/// secret.
type MessagePart<'a> = Option<Cow<'a, [u8]>>;

impl CompiledScheme {
    /// Checks the parts of the proof that stand in the head: present and well-formed.
    ///
    /// # Errors
    /// The [`VerifyError`] with which [`CompiledScheme::verify`] rejects the same head.
    pub fn precheck(&self, head: &Head) -> Result<(), VerifyError> {
        self.read_head(head).map(drop)
    }

    /// Verifies the signature, then the timestamp. Returns the index of the secret that matched.
    ///
    /// # Errors
    /// Any [`VerifyError`] but [`VerifyError::KeyUnavailable`].
    pub fn verify(&self, request: &Request, cx: &VerifyCx<'_>) -> Result<usize, VerifyError> {
        let in_head = self.read_head(&request.head)?;
        // A body that cannot be read fails where a part of the proof is read from it, not here: the
        // signature may cover its bytes all the same.
        let json = self.needs_json().then(|| request.body.json_for_proof());
        let json = BodyJson::new(json.as_ref());
        let signature = match in_head {
            Some(signature) => signature,
            None => self.extract_from_body(request, json)?,
        };
        let timestamp = match &self.timestamp {
            Some(spec) => spec.text(&signature, request, json)?.map(|text| (spec, text)),
            None => None,
        };
        let secret = match self.alg {
            None => self.match_token(&signature, cx)?,
            Some(alg) => {
                let text = timestamp.as_ref().map(|(_, text)| text.as_ref());
                let parts = self.message_parts(&signature, text, request, json, cx)?;
                self.match_tag(alg, &self.decode_tags(&signature)?, &parts, cx)?
            }
        };
        // After the signature: the time of a forged request is of no interest.
        if let Some((spec, text)) = timestamp {
            spec.check(&text, cx)?;
        }
        Ok(secret)
    }

    /// Reads the parts of the proof that stand in the head; returns the signature where it is
    /// there. Both `precheck` and `verify` begin here, so that they reject a head with the same
    /// error (PROVIDER-14).
    fn read_head<'a>(
        &'a self,
        head: &'a Head,
    ) -> Result<Option<ExtractedSignature<'a>>, VerifyError> {
        let signature = match self.signature.location {
            SignatureLocation::Header | SignatureLocation::Query => {
                let signature = self.extract_from_head(head)?;
                self.decode_tags(&signature)?;
                Some(signature)
            }
            SignatureLocation::Json | SignatureLocation::Form => None,
        };
        // Parts that stand in the body, such as a JSON field, are read by `message_parts`.
        for segment in &self.message {
            match (segment, &signature) {
                (Segment::Header(name), _) => {
                    let _checked = non_empty_header(head.required(name)?, name)?;
                }
                (Segment::SignatureListValue(key), Some(signature)) => {
                    let _checked = signature.list_value(key)?;
                }
                _ => {}
            }
        }
        if let Some(spec) = &self.timestamp {
            let text = match (&spec.location, &signature) {
                (TimestampLocation::Field(FieldLocation::Header(name)), _) => {
                    Some(non_empty_header(head.required(name)?, name)?)
                }
                (TimestampLocation::SignatureList(key), Some(signature)) => {
                    Some(signature.list_value(key)?)
                }
                _ => None,
            };
            text.map(|text| spec.parse(text)).transpose()?;
        }
        self.identity.precheck(head)?;
        Ok(signature)
    }

    /// Whether signature, message or timestamp are read from the JSON body. Other bodies are not
    /// parsed before they are proven.
    fn needs_json(&self) -> bool {
        let timestamp = self.timestamp.as_ref().map(|t| &t.location);
        self.signature.location == SignatureLocation::Json
            || self.message.iter().any(|s| matches!(s, Segment::Json(_)))
            || matches!(timestamp, Some(TimestampLocation::Field(field)) if field.reads_json())
    }

    /// The index of the secret that the token equals.
    fn match_token(
        &self,
        signature: &ExtractedSignature<'_>,
        cx: &VerifyCx<'_>,
    ) -> Result<usize, VerifyError> {
        let matches = |configured: &[u8]| {
            let same = |c: &Cow<'_, str>| tokens_equal(c.as_bytes(), configured);
            if signature.all_must_match {
                signature.candidates.iter().all(same)
            } else {
                signature.candidates.iter().any(same)
            }
        };
        let found = cx.secrets.iter().find(|(_, s)| self.key_bytes(s).is_some_and(|k| matches(&k)));
        found.map(|(index, _)| index).ok_or(VerifyError::InvalidSignature)
    }

    /// The index of the secret under which one of the tags is right.
    fn match_tag(
        &self,
        alg: ProofAlgorithm,
        tags: &[Tag],
        parts: &[MessagePart<'_>],
        cx: &VerifyCx<'_>,
    ) -> Result<usize, VerifyError> {
        let mut found = None;
        // Tries every secret, so that the time taken does not show which one matched.
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

    /// The values of the message's segments. A value that is absent is an error and never an empty
    /// text: otherwise a request without it could carry the signature of another one.
    fn message_parts<'a>(
        &'a self,
        signature: &ExtractedSignature<'a>,
        timestamp: Option<&'a str>,
        request: &'a Request,
        json: BodyJson<'_>,
        cx: &VerifyCx<'_>,
    ) -> Result<Vec<MessagePart<'a>>, VerifyError> {
        let owned = |text: String| Cow::Owned(text.into_bytes());
        let resolve = |segment: &'a Segment| -> Result<MessagePart<'a>, VerifyError> {
            Ok(Some(match segment {
                Segment::Key => return Ok(None),
                Segment::Literal(literal) => Cow::Borrowed(literal.as_bytes()),
                Segment::Body => Cow::Borrowed(request.body.bytes()),
                Segment::Timestamp => Cow::Borrowed(timestamp.unwrap_or_default().as_bytes()),
                Segment::Method => Cow::Borrowed(request.head.method.as_str().as_bytes()),
                Segment::Url => owned(request.url(cx.public_url).ok_or_else(|| {
                    VerifyError::invalid_format(
                        "this sender signs the URL that it calls; set `server.public_url`",
                    )
                })?),
                Segment::Header(name) => {
                    Cow::Borrowed(non_empty_header(request.head.required(name)?, name)?.as_bytes())
                }
                Segment::SignatureListValue(key) => {
                    Cow::Borrowed(signature.list_value(key)?.as_bytes())
                }
                Segment::Json(pointer) => owned(required_json_text(json, pointer)?),
                Segment::Form(field) => owned(required_form_text(request, field)?),
            }))
        };
        self.message.iter().map(resolve).collect()
    }
}
