//! The bytes of a delivery, and their JSON, which is parsed at most once and shared by all clones.

use std::fmt;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::HeaderMap;
use serde_json::Value;

use crate::body_error::BodyError;
use crate::body_reading::{JsonOptions, Media, Reading};
use crate::content_encoding::MAX_COMPRESSION_RATIO;
use crate::exact_json::ExactJson;
use crate::form_fields::FormField;
use crate::json::{MAX_JSON_MEMORY_BYTES, ParsedJson, parse_for_proof};

/// The most memory that parsed JSON takes, as a multiple of its text. Measured: an array of objects
/// with one short member each comes to 80 times its text, and to 124 times where that member is a
/// number whose digits are kept.
const MAX_MEMORY_PER_TEXT_BYTE: usize = 130;

/// The bytes of a delivery, cheap to clone. They are parsed as JSON at the first call of
/// [`json`](Self::json); all clones share the result.
///
/// ```
/// use hookward_core::Body;
///
/// let body = Body::new(r#"{"type":"order.paid","amount":1.10}"#);
/// assert_eq!(body.json().unwrap()["type"], "order.paid");
/// // The bytes stay as they are: numbers keep their digits, members their order.
/// assert!(body.bytes().ends_with(b"1.10}"));
///
/// // A form is an object of its fields.
/// let form = Body::received("type=paid&id=7", Some("application/x-www-form-urlencoded"), None);
/// assert_eq!(form.json().unwrap()["id"], "7");
///
/// // Strict: the same member twice could mean one thing to the proof and another to a handler.
/// assert!(Body::new(r#"{"id":1,"id":2}"#).json().is_err());
/// ```
#[derive(Clone, Default)]
pub struct Body(Arc<Inner>);

#[derive(Default)]
struct Inner {
    bytes: Bytes,
    /// How the bytes are read; `None` where the body was not received: it is JSON or opaque.
    reading: Option<Reading>,
    /// The content of a compressed body.
    decoded: OnceLock<Result<Bytes, BodyError>>,
    /// The fields of a form; `None` where the content has another form.
    fields: OnceLock<Result<Option<Vec<FormField>>, BodyError>>,
    json: OnceLock<Result<ParsedJson, BodyError>>,
}

impl Body {
    /// A body of these bytes, not parsed yet.
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        Self(Arc::new(Inner { bytes: bytes.into(), ..Inner::default() }))
    }

    /// A body as a sender sent it, with the values of its headers `Content-Type` and
    /// `Content-Encoding`. Its content is decompressed and its forms are read at first use.
    pub fn received(
        bytes: impl Into<Bytes>,
        content_type: Option<&str>,
        content_encoding: Option<&str>,
    ) -> Self {
        Self::with_reading(bytes.into(), Some(Reading::new(content_type, content_encoding)))
    }

    /// A received body and its kept headers, as a store returns them.
    ///
    /// ```
    /// use hookward_core::Body;
    ///
    /// let form = "application/x-www-form-urlencoded".to_owned();
    /// let body = Body::stored("id=7", &[("content-type".to_owned(), form)]);
    /// assert_eq!(body.json().unwrap()["id"], "7");
    /// ```
    pub fn stored(bytes: impl Into<Bytes>, headers: &[(String, String)]) -> Self {
        let header = |name| headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
        Self::received(bytes, header("content-type"), header("content-encoding"))
    }

    /// A body that is the compact JSON of a value. It counts as parsed: [`json`](Self::json)
    /// returns the value itself.
    pub fn from_json(value: Value) -> Self {
        let bytes = Bytes::from(value.to_string());
        let memory_size = 8 * bytes.len();
        let parsed = ParsedJson { value, number_texts: None, memory_size };
        Self(Arc::new(Inner { bytes, json: OnceLock::from(Ok(parsed)), ..Inner::default() }))
    }

    fn with_reading(bytes: Bytes, reading: Option<Reading>) -> Self {
        Self(Arc::new(Inner { bytes, reading, ..Inner::default() }))
    }

    /// The same body, read as its head says; unchanged where that is known.
    pub(crate) fn with_head(self, headers: &HeaderMap) -> Self {
        match self.0.reading {
            Some(_) => self,
            None => Self::with_reading(self.0.bytes.clone(), Some(Reading::of_head(headers))),
        }
    }

    /// The same body, read with these options; unchanged where the body was not received. Not
    /// parsed where the options differ.
    #[must_use]
    pub fn with_json_options(&self, options: &JsonOptions) -> Self {
        match &self.0.reading {
            Some(reading) if reading.options != *options => {
                let reading = Reading { options: options.clone(), ..reading.clone() };
                Self::with_reading(self.0.bytes.clone(), Some(reading))
            }
            _ => self.clone(),
        }
    }

    /// The same body, whose content may have at most this many bytes once it is decompressed.
    #[must_use]
    pub fn with_content_limit(&self, bytes: usize) -> Self {
        match &self.0.reading {
            Some(reading) if reading.encoding.is_some() => {
                let reading = Reading { max_content_bytes: bytes, ..reading.clone() };
                Self::with_reading(self.0.bytes.clone(), Some(reading))
            }
            _ => self.clone(),
        }
    }

    /// The body as it came, of which nothing is decompressed.
    pub(crate) fn sealed(&self) -> Self {
        if self.is_compressed() { Self::new(self.0.bytes.clone()) } else { self.clone() }
    }

    /// Whether a sender sent the body. A step that replaces it makes another one.
    pub fn is_received(&self) -> bool {
        self.0.reading.is_some()
    }

    /// The options with which the body is read.
    pub fn json_options(&self) -> JsonOptions {
        self.0.reading.as_ref().map(|reading| reading.options.clone()).unwrap_or_default()
    }

    /// The bytes exactly as they were received or made.
    pub fn bytes(&self) -> &Bytes {
        &self.0.bytes
    }

    /// The bytes, decompressed where the body is compressed.
    ///
    /// # Errors
    /// [`BodyError`] where they cannot be decompressed, or have more than 64 MiB or
    /// [`with_content_limit`](Self::with_content_limit).
    pub fn content(&self) -> Result<&Bytes, &BodyError> {
        let Some(reading) = &self.0.reading else { return Ok(&self.0.bytes) };
        let Some(encoding) = reading.encoding else { return Ok(&self.0.bytes) };
        let decode = || Ok(encoding.decode(&self.0.bytes, reading.max_content_bytes)?);
        self.0.decoded.get_or_init(decode).as_ref()
    }

    /// Whether the body has a content encoding that [`content`](Self::content) removes.
    pub fn is_compressed(&self) -> bool {
        self.0.reading.as_ref().is_some_and(|reading| reading.encoding.is_some())
    }

    /// The fields of a form, urlencoded or multipart, in order; `None` where the content is no
    /// form.
    ///
    /// # Errors
    /// [`BodyError`] where the form is malformed, or has more than 10,000 fields or 1,000 parts.
    pub fn form_fields(&self) -> Result<Option<&[FormField]>, &BodyError> {
        let Some(reading) = &self.0.reading else { return Ok(None) };
        if reading.media == Media::Json {
            return Ok(None);
        }
        let content = self.content()?;
        self.0.fields.get_or_init(|| reading.form_fields(content)).as_ref().map(Option::as_deref)
    }

    /// Whether the content is read as the fields of a form, urlencoded or multipart.
    pub fn is_form(&self) -> bool {
        self.form_fields().is_ok_and(|fields| fields.is_some())
    }

    /// Whether the media type is `multipart/form-data`.
    #[cfg(feature = "scheme")]
    pub(crate) fn is_multipart(&self) -> bool {
        matches!(&self.0.reading, Some(Reading { media: Media::Multipart(_), .. }))
    }

    /// The body as JSON, parsed at the first call: strict JSON
    /// ([`parse_strict`](crate::parse_strict)), or the object of a form's fields. In that object a
    /// field is a text, a part of the type `application/json` its value, a file the object
    /// `{filename, contentType, size}`, and several fields of one name an array.
    ///
    /// # Errors
    /// [`BodyError`] where the body can be read as neither, the same one at every call.
    pub fn json(&self) -> Result<&Value, &BodyError> {
        self.parsed().map(|parsed| &parsed.value)
    }

    /// Like [`json`](Self::json), with every digit of the numbers: a [`Value`] rounds integers
    /// over 64 bits and decimals of more than 17 digits.
    ///
    /// ```
    /// use hookward_core::{Body, Decimal};
    ///
    /// let body = Body::new(r#"{"order":123456789012345678901}"#);
    /// let order = body.exact_json().unwrap().pointer("/order").unwrap();
    /// assert_eq!(order.number(), Decimal::parse("123456789012345678901"));
    /// ```
    ///
    /// # Errors
    /// [`BodyError`] where the body is not strict JSON.
    pub fn exact_json(&self) -> Result<ExactJson<'_>, &BodyError> {
        self.parsed().map(|parsed| ExactJson::new(&parsed.value, parsed.number_texts.as_deref()))
    }

    fn parsed(&self) -> Result<&ParsedJson, &BodyError> {
        let parse = || {
            let content = self.content().map_err(BodyError::clone)?;
            let fields = self.form_fields().map_err(BodyError::clone)?;
            self.0.reading.clone().unwrap_or_default().parse(content, fields)
        };
        self.0.json.get_or_init(parse).as_ref()
    }

    /// The JSON in which a proof is looked for: that of [`json`](Self::json) or, where that cannot
    /// be read, as much as tolerant parsers read of it. So a signed body that is not strict JSON is
    /// proven, and then kept as an invalid event.
    ///
    /// # Errors
    /// [`BodyError`] where no parser reads the body.
    pub fn json_for_proof(&self) -> Result<ProofJson<'_>, &BodyError> {
        self.exact_json().map(|json| ProofJson(ProofJsonKind::Strict(json))).or_else(|error| {
            match self.content() {
                Ok(content) if !self.is_form() => {
                    let parsed = parse_for_proof(content).map_err(|_| error)?;
                    Ok(ProofJson(ProofJsonKind::Tolerant(parsed)))
                }
                _ => Err(error),
            }
        })
    }

    /// The memory that the body takes now, in bytes, as an estimate. Parsing it as JSON can
    /// multiply this by 80, so whoever parses many bodies at the same time needs a budget for it.
    pub fn memory_size(&self) -> usize {
        let parsed = self.0.json.get().and_then(|read| read.as_ref().ok());
        let decoded = self.0.decoded.get().and_then(|read| read.as_ref().ok());
        let fields = self.0.fields.get().and_then(|read| read.as_ref().ok()?.as_ref());
        let field_size = |f: &FormField| size_of::<FormField>() + f.name().len() + f.bytes().len();
        self.0.bytes.len()
            + decoded.map_or(0, Bytes::len)
            + fields.map_or(0, |fields| fields.iter().map(field_size).sum())
            + parsed.map_or(0, |parsed| parsed.memory_size)
    }

    /// The most memory that the parsed JSON of this body can take, in bytes: an upper bound for
    /// what [`memory_size`](Self::memory_size) grows by at the first call of [`json`](Self::json).
    pub fn max_memory_size(&self) -> usize {
        // Not decompressed to find out.
        let decoded = self.0.decoded.get().and_then(|read| read.as_ref().ok());
        let content_bytes = match decoded {
            Some(content) => content.len(),
            None if self.is_compressed() => {
                self.0.bytes.len().saturating_mul(MAX_COMPRESSION_RATIO)
            }
            None => self.0.bytes.len(),
        };
        content_bytes.saturating_mul(MAX_MEMORY_PER_TEXT_BYTE).min(MAX_JSON_MEMORY_BYTES)
    }

    /// The same bytes, not parsed, so that dropping the original frees its parsed JSON.
    #[must_use]
    pub fn without_parsed_json(&self) -> Self {
        Self::with_reading(self.0.bytes.clone(), self.0.reading.clone())
    }
}

/// The JSON in which a proof is looked for; see [`Body::json_for_proof`].
pub struct ProofJson<'a>(ProofJsonKind<'a>);

enum ProofJsonKind<'a> {
    Strict(ExactJson<'a>),
    Tolerant(ParsedJson),
}

impl ProofJson<'_> {
    /// The value, with the digits of its numbers.
    pub fn exact(&self) -> ExactJson<'_> {
        match &self.0 {
            ProofJsonKind::Strict(json) => *json,
            ProofJsonKind::Tolerant(parsed) => {
                ExactJson::new(&parsed.value, parsed.number_texts.as_deref())
            }
        }
    }

    /// The value. Its numbers are rounded where they do not fit.
    pub fn value(&self) -> &Value {
        match &self.0 {
            ProofJsonKind::Strict(json) => json.value(),
            ProofJsonKind::Tolerant(parsed) => &parsed.value,
        }
    }
}

/// Shows nothing, so that no payload reaches a log.
impl fmt::Debug for ProofJson<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProofJson")
    }
}

/// Shows only the size, so that no payload reaches a log.
impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Body({} bytes)", self.0.bytes.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_size_of_a_parsed_body_includes_its_json() {
        let text = format!("[{}0]", "{\"a\":1},".repeat(10_000));
        let body = Body::new(text.clone());
        assert_eq!(body.memory_size(), text.len());
        assert!(body.json().is_ok());
        // An object with one member takes over 600 bytes.
        assert!(body.memory_size() > 6_000_000, "{}", body.memory_size());
        assert!(body.memory_size() - text.len() <= body.max_memory_size());
        assert_eq!(body.without_parsed_json().memory_size(), text.len());
        assert_eq!(body.without_parsed_json().json(), body.json());
        // The densest text: each object keeps the digits of one number.
        let body = Body::new(format!("[{}0]", "{\"\":1e-400},".repeat(10_000)));
        assert!(body.json().is_ok());
        assert!(body.memory_size() - body.bytes().len() <= body.max_memory_size());
        let wrong = Body::new("{");
        assert!(wrong.json().is_err());
        assert_eq!(wrong.memory_size(), 1);
    }
}
