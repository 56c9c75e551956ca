//! Signs by a compiled scheme, as the sender does: for `hookward send`, tests and the conformance
//! kit.

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};

use crate::crypto::ProofAlgorithm;
use crate::request::{Head, Request};
use crate::scheme::compiled::CompiledScheme;
use crate::scheme::compiled_timestamp::TimestampLocation;
use crate::scheme::field_location::FieldLocation;
use crate::scheme::spec::{SignatureLocation, TimeUnit};
use crate::scheme::template::Segment;
use crate::secret::Secret;
use crate::signer::{EventDraft, SignError};

fn error(reason: &str) -> SignError {
    SignError::new(reason)
}

impl CompiledScheme {
    /// Whether the message contains the URL that the sender calls.
    pub(crate) fn needs_public_url(&self) -> bool {
        self.message.iter().any(|segment| matches!(segment, Segment::Url))
    }

    /// Whether requests can be signed: the signature stands in a header, no segment of the message
    /// is a field of the body, and the key is not the public one of a pair.
    pub(crate) fn can_sign(&self) -> bool {
        let is_body_field = |s: &Segment| matches!(s, Segment::Json(_) | Segment::Form(_));
        self.signature.location == SignatureLocation::Header
            && !self.message.iter().any(is_body_field)
            && !self.alg.is_some_and(ProofAlgorithm::is_public)
    }

    /// Builds the whole request of a draft: a POST with the headers that the scheme signs or reads
    /// the event's type and id from, and the signature. Signed headers of another meaning get the
    /// event id.
    ///
    /// # Errors
    /// [`SignError`] where the signature stands elsewhere than in a header, a field of the body is
    /// signed on its own, the sender signs with a private key, or the secret or a value is
    /// unusable.
    pub fn sign(&self, draft: &EventDraft, secret: &Secret) -> Result<Request, SignError> {
        if self.signature.location != SignatureLocation::Header {
            return Err(error("only signatures that stand in a header can be made"));
        }
        let timestamp = self.timestamp_text(draft);
        let mut headers = self.unsigned_headers(draft, timestamp.as_deref())?;
        let key = self
            .key_bytes(secret)
            .ok_or_else(|| error("the secret cannot be decoded as a key of this scheme"))?;
        let tag = match self.alg {
            None => secret.expose().to_owned(),
            Some(alg) => {
                let parts = self.draft_parts(draft, &key, timestamp.as_deref())?;
                let tag = alg.tag(&key, &parts).ok_or_else(|| {
                    error("this sender signs with a private key, which only the sender has")
                })?;
                self.signature.encoding.encode(&tag)
            }
        };
        let name = match self.signature.name.strip_suffix('*') {
            // The first header of a family such as `X-Signature-*`.
            Some(stem) => format!("{stem}1"),
            None => self.signature.name.clone(),
        };
        set_header(&mut headers, &name, &self.signature_value(&tag, timestamp.as_deref()))?;
        let target = draft.target().to_owned();
        let head = Head::new(Method::POST, target, headers);
        Ok(Request::new(head, draft.body.clone()))
    }

    /// All headers but the signature.
    fn unsigned_headers(
        &self,
        draft: &EventDraft,
        timestamp: Option<&str>,
    ) -> Result<HeaderMap, SignError> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        for (name, value) in self.identity.headers(&draft.event_type, &draft.event_id) {
            set_header(&mut headers, name, value)?;
        }
        let timestamp_header = self.timestamp_header();
        if let (Some(name), Some(text)) = (timestamp_header, timestamp) {
            set_header(&mut headers, name, text)?;
        }
        for segment in &self.message {
            match segment {
                Segment::Header(name) if Some(name.as_str()) != timestamp_header => {
                    set_header(&mut headers, name, self.signed_header_value(draft, name))?;
                }
                _ => {}
            }
        }
        Ok(headers)
    }

    /// The parts of the signed message.
    fn draft_parts<'a>(
        &'a self,
        draft: &'a EventDraft,
        key: &'a [u8],
        timestamp: Option<&'a str>,
    ) -> Result<Vec<&'a [u8]>, SignError> {
        let timestamp = timestamp.unwrap_or_default().as_bytes();
        let timestamp_header = self.timestamp_header();
        let part = |segment: &'a Segment| -> Result<&'a [u8], SignError> {
            Ok(match segment {
                Segment::Literal(text) => text.as_bytes(),
                Segment::Key => key,
                Segment::Body => draft.body.bytes(),
                // Senders put nothing but the timestamp beside the signature in a list.
                Segment::Timestamp | Segment::SignatureListValue(_) => timestamp,
                Segment::Header(name) if Some(name.as_str()) == timestamp_header => timestamp,
                Segment::Header(name) => self.signed_header_value(draft, name).as_bytes(),
                Segment::Url => draft.url.as_bytes(),
                Segment::Method => b"POST",
                Segment::Json(_) | Segment::Form(_) => {
                    return Err(error("messages made of fields of the body cannot be signed"));
                }
            })
        };
        self.message.iter().map(part).collect()
    }

    /// The value of a header that the signature covers: the event's type or id.
    fn signed_header_value<'a>(&'a self, draft: &'a EventDraft, header: &str) -> &'a str {
        let mut headers = self.identity.headers(&draft.event_type, &draft.event_id);
        let named = headers.find(|(name, _)| *name == header).map(|(_, value)| value);
        named.unwrap_or(&draft.event_id)
    }

    /// The header in which the timestamp stands, if it stands in one.
    fn timestamp_header(&self) -> Option<&str> {
        match self.timestamp.as_ref().map(|t| &t.location) {
            Some(TimestampLocation::Field(FieldLocation::Header(name))) => Some(name),
            _ => None,
        }
    }

    /// The value of the signature header: the tag with its prefix, as an element of the list where
    /// the scheme has one.
    fn signature_value(&self, tag: &str, timestamp: Option<&str>) -> String {
        let spec = &self.signature;
        let tag = format!("{}{tag}", spec.prefix.as_deref().unwrap_or_default());
        let (Some(split), Some(pair), Some(take)) = (spec.split, spec.pair, &spec.take) else {
            return tag;
        };
        let element = format!("{take}{}{tag}", pair.as_char());
        match (self.timestamp.as_ref().map(|t| &t.location), timestamp) {
            (Some(TimestampLocation::SignatureList(key)), Some(timestamp)) => {
                format!("{key}{}{timestamp}{}{element}", pair.as_char(), split.as_char())
            }
            _ => element,
        }
    }

    /// The timestamp of the draft in the unit of the scheme; `None` where the scheme has none.
    fn timestamp_text(&self, draft: &EventDraft) -> Option<String> {
        self.timestamp.as_ref().map(|spec| match spec.unit {
            TimeUnit::S => draft.now.as_secs().to_string(),
            TimeUnit::Ms => draft.now.as_millis().to_string(),
            TimeUnit::Rfc3339 => draft.now.to_string(),
        })
    }
}

fn set_header(headers: &mut HeaderMap, name: &str, value: &str) -> Result<(), SignError> {
    let header_name = HeaderName::from_bytes(name.as_bytes()).map_err(|e| error(&e.to_string()))?;
    let header_value = HeaderValue::from_str(value)
        .map_err(|_| error("a header value has a character that headers cannot hold"))?;
    headers.insert(header_name, header_value);
    Ok(())
}
