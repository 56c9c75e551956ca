//! Signing by a compiled scheme, as the sender would: for `hookward send`, tests and the kit.

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};

use crate::crypto::ProofAlgorithm;
use crate::provider::{Draft, SignError};
use crate::request::{Head, Request};
use crate::scheme::compiled::{CompiledScheme, TimeSource};
use crate::scheme::field_location::FieldLocation;
use crate::scheme::spec::{SignatureLocation, TimeUnit};
use crate::scheme::template::Segment;
use crate::secret::Secret;

impl CompiledScheme {
    /// Whether requests can be made: the signature is in a header, nothing in its message is a part
    /// of the body, and the key is not the public one of a pair.
    pub(crate) fn can_sign(&self) -> bool {
        let of_body = |s: &Segment| matches!(s, Segment::Json(_) | Segment::Form(_));
        self.signature.place == SignatureLocation::Header
            && !self.message.iter().any(of_body)
            && !self.alg.is_some_and(ProofAlgorithm::is_public)
    }

    /// The full request. Headers that only name the event (`event_type`, `event_id`) are set from
    /// the draft; those that the message needs likewise, as its id.
    pub fn sign(&self, draft: &Draft, secret: &Secret) -> Result<Request, SignError> {
        let fail = |reason: &str| SignError { reason: reason.to_owned() };
        if self.signature.place != SignatureLocation::Header {
            return Err(fail("only signatures in headers can be made"));
        }
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let mut set = |name: &str, value: &str| -> Result<(), SignError> {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|e| fail(&e.to_string()))?;
            let value = HeaderValue::from_str(value)
                .map_err(|_| fail("a header value has a character that headers cannot hold"))?;
            headers.insert(name, value);
            Ok(())
        };
        for (name, value) in self.naming.headers(&draft.event_type, &draft.event_id) {
            set(name, value)?;
        }
        let time = self.time_of(draft);
        let time_header = self.timestamp.as_ref().and_then(|t| match &t.from {
            TimeSource::At(FieldLocation::Header(name)) => Some(name.as_str()),
            _ => None,
        });
        if let (Some(name), Some(text)) = (time_header, &time) {
            set(name, text)?;
        }
        let named = |header: &str| {
            let mut headers = self.naming.headers(&draft.event_type, &draft.event_id);
            headers.find(|(name, _)| *name == header).map(|(_, value)| value)
        };
        for segment in &self.message {
            match segment {
                Segment::Header(name) if Some(name.as_str()) != time_header => {
                    set(name, named(name).unwrap_or(&draft.event_id))?;
                }
                _ => {}
            }
        }
        let key =
            self.key_bytes(secret).ok_or_else(|| fail("the secret is not of the expected form"))?;
        let tag = match self.alg {
            None => secret.expose().to_owned(),
            Some(alg) => {
                let time = time.as_deref().unwrap_or_default().as_bytes();
                let mut parts: Vec<&[u8]> = Vec::with_capacity(self.message.len());
                for segment in &self.message {
                    parts.push(match segment {
                        Segment::Literal(text) => text.as_bytes(),
                        Segment::Key => &key,
                        Segment::Body => draft.body.bytes(),
                        Segment::Timestamp | Segment::Sig(_) => time,
                        Segment::Header(name) if Some(name.as_str()) == time_header => time,
                        Segment::Header(name) => named(name).unwrap_or(&draft.event_id).as_bytes(),
                        Segment::Url => draft.url.as_bytes(),
                        Segment::Method => b"POST",
                        Segment::Json(_) | Segment::Form(_) => {
                            return Err(fail("messages made of body fields cannot be signed"));
                        }
                    });
                }
                let tag = alg.tag(&key, &parts);
                self.signature
                    .encoding
                    .encode(&tag.ok_or_else(|| fail("its sender holds a private key"))?)
            }
        };
        let name = match self.signature.name.strip_suffix('*') {
            Some(stem) => format!("{stem}1"),
            None => self.signature.name.clone(),
        };
        set(&name, &self.written(&tag, time.as_deref()))?;
        let target = draft.target().to_owned();
        let head = Head { method: Method::POST, target, headers, client: None };
        Ok(Request::new(head, draft.body.clone()))
    }

    /// The signature header's value: prefix or list around the tag.
    fn written(&self, tag: &str, time: Option<&str>) -> String {
        let spec = &self.signature;
        let tag = format!("{}{tag}", spec.prefix.as_deref().unwrap_or_default());
        let (Some(split), Some(pair), Some(take)) = (spec.split, spec.pair, &spec.take) else {
            return tag;
        };
        let element = format!("{take}{}{tag}", pair.as_char());
        match (&self.timestamp, time) {
            (Some(t), Some(time)) => match &t.from {
                TimeSource::Sig(key) => {
                    format!("{key}{}{time}{}{element}", pair.as_char(), split.as_char())
                }
                TimeSource::At(_) => element,
            },
            _ => element,
        }
    }

    fn time_of(&self, draft: &Draft) -> Option<String> {
        self.timestamp.as_ref().map(|spec| match spec.unit {
            TimeUnit::S => draft.now.as_secs().to_string(),
            TimeUnit::Ms => draft.now.as_millis().to_string(),
            TimeUnit::Rfc3339 => draft.now.to_string(),
        })
    }
}
