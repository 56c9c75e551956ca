//! How the bytes of a received body become its content and its JSON: content encoding, media type,
//! and the options of the source. Used by [`Body`](crate::Body).

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use serde_json::{Map, Value};

use crate::body_error::BodyError;
use crate::content_encoding::{ContentEncoding, MAX_CONTENT_BYTES};
use crate::exact_json::NumberTexts;
use crate::form_fields::{FormField, multipart_fields, urlencoded_fields};
use crate::json::{DuplicateKeys, ParsedJson, parse_strict_exact, without_byte_order_mark};

/// The memory of a field as a JSON value, beside its text: as a member and as an item.
const FIELD_BYTES: usize = 256;

/// How the bodies of a source are read as JSON.
///
/// ```
/// use hookward_core::{Body, DuplicateKeys, JsonOptions};
///
/// let body = Body::received(r#"{"id":1,"id":2}"#, Some("application/json"), None);
/// assert!(body.json().is_err());
/// let last = JsonOptions::new().with_duplicate_keys(DuplicateKeys::Last);
/// assert_eq!(body.with_json_options(&last).json().unwrap()["id"], 2);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct JsonOptions {
    /// What a key that occurs twice in one object means.
    pub duplicate_keys: DuplicateKeys,
    /// The field of a form that holds the JSON of the event. Where the form has no such field, or
    /// this is `None`, the JSON is an object of all fields.
    pub form_field: Option<Arc<str>>,
}

impl JsonOptions {
    /// Duplicate keys are rejected, and a form is an object of its fields.
    pub fn new() -> Self {
        Self::default()
    }

    setters! {
        with_duplicate_keys => duplicate_keys: DuplicateKeys;
        with_form_field => form_field: into Option<Arc<str>>;
    }
}

/// The media types that are read in different ways. Anything but a form is read as JSON, because
/// senders label JSON as text or not at all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Media {
    #[default]
    Json,
    /// `application/x-www-form-urlencoded`.
    Form,
    /// `multipart/form-data`, with its boundary.
    Multipart(Box<str>),
}

impl Media {
    /// By the value of `Content-Type`.
    pub(crate) fn of(content_type: Option<&str>) -> Self {
        let content_type = content_type.unwrap_or_default();
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        if essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            return Self::Form;
        }
        if essence.eq_ignore_ascii_case("multipart/form-data")
            && let Ok(boundary) = multer::parse_boundary(content_type)
        {
            return Self::Multipart(boundary.into());
        }
        Self::Json
    }
}

/// What the head of a request says about its body, and how the source reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reading {
    pub(crate) media: Media,
    pub(crate) encoding: Option<ContentEncoding>,
    /// The most bytes of the decompressed content.
    pub(crate) max_content_bytes: usize,
    pub(crate) options: JsonOptions,
}

/// JSON or opaque bytes.
impl Default for Reading {
    fn default() -> Self {
        Self::new(None, None)
    }
}

impl Reading {
    pub(crate) fn of_head(headers: &HeaderMap) -> Self {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        Self::new(text(CONTENT_TYPE), text(CONTENT_ENCODING))
    }

    pub(crate) fn new(content_type: Option<&str>, content_encoding: Option<&str>) -> Self {
        Self {
            media: Media::of(content_type),
            encoding: content_encoding.and_then(ContentEncoding::parse),
            max_content_bytes: MAX_CONTENT_BYTES,
            options: JsonOptions::default(),
        }
    }

    /// The fields of a form; `None` where the content has another form.
    pub(crate) fn form_fields(&self, content: &Bytes) -> Result<Option<Vec<FormField>>, BodyError> {
        match &self.media {
            Media::Json => Ok(None),
            // The default label of some clients, also for JSON.
            Media::Form if looks_like_json(content) => Ok(None),
            Media::Form => urlencoded_fields(without_byte_order_mark(content)).map(Some),
            Media::Multipart(boundary) => multipart_fields(content, boundary).map(Some),
        }
    }

    /// Parses the content as the JSON that routes, schemas and handlers see.
    pub(crate) fn parse(
        &self,
        content: &Bytes,
        fields: Option<&[FormField]>,
    ) -> Result<ParsedJson, BodyError> {
        let Some(fields) = fields else {
            return parse_strict_exact(content, self.options.duplicate_keys)
                .map_err(|e| BodyError::new(e.to_string()));
        };
        let wanted = self.options.form_field.as_deref();
        match fields.iter().find(|field| Some(field.name()) == wanted) {
            Some(field) => parse_strict_exact(field.bytes(), self.options.duplicate_keys)
                .map_err(|e| BodyError::new(format!("the field `{}`: {e}", field.name()))),
            None => Ok(self.object_of(fields)),
        }
    }

    /// The object of all fields: a text for a field, what it says for a part that is JSON, and
    /// name, type and size for a file. Fields of one name become an array.
    fn object_of(&self, fields: &[FormField]) -> ParsedJson {
        let (mut members, mut texts) = (Map::new(), BTreeMap::new());
        let mut repeated = HashSet::new();
        let mut memory_size = 0;
        for field in fields {
            let name = field.name();
            let parsed = self.value_of(field);
            memory_size += FIELD_BYTES + name.len() + parsed.memory_size;
            let Some(first) = members.get_mut(name) else {
                if let Some(numbers) = parsed.number_texts {
                    texts.insert(name.to_owned(), *numbers);
                }
                members.insert(name.to_owned(), parsed.value);
                continue;
            };
            // The digits of long numbers are kept for single fields alone.
            texts.remove(name);
            match first {
                Value::Array(items) if !repeated.insert(name) => items.push(parsed.value),
                first => *first = Value::Array(vec![first.take(), parsed.value]),
            }
        }
        let number_texts = (!texts.is_empty()).then(|| Box::new(NumberTexts::Object(texts)));
        ParsedJson { value: Value::Object(members), number_texts, memory_size }
    }

    fn value_of(&self, field: &FormField) -> ParsedJson {
        if field.is_json()
            && let Ok(parsed) = parse_strict_exact(field.bytes(), self.options.duplicate_keys)
        {
            return parsed;
        }
        let value = match field.is_file() {
            true => serde_json::json!({
                "filename": field.filename(),
                "contentType": field.content_type(),
                "size": field.bytes().len(),
            }),
            false => Value::from(String::from_utf8_lossy(field.bytes())),
        };
        let memory_size = if field.is_file() { 4 * FIELD_BYTES } else { field.bytes().len() };
        ParsedJson { value, number_texts: None, memory_size }
    }
}

/// Whether the content is a JSON object or array. No form begins so, unless its first field does.
fn looks_like_json(content: &[u8]) -> bool {
    let text = without_byte_order_mark(content).trim_ascii_start();
    matches!(text.first(), Some(b'{' | b'[')) && crate::json::parse_for_proof(content).is_ok()
}
