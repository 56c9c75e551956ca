//! Where a value stands in a request: in the JSON body, in a header or in a form field.

use std::borrow::Cow;

use serde_json::Value;

use crate::body::ProofJson;
use crate::body_error::BodyError;
use crate::exact_json::ExactJson;
use crate::prove::Verified;
use crate::scheme::error::SchemeError;
use crate::scheme::form::body_form_value;
use crate::verify_error::VerifyError;

/// Where a text value stands in a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FieldLocation {
    /// A header; its name in lower case.
    Header(String),
    /// A JSON pointer (RFC 6901) into the body or, in a batch, into the event's item.
    Pointer(String),
    /// A JSON pointer into the body, also in a batch.
    Root(String),
    /// A field of a form body, urlencoded or multipart.
    Form(String),
}

impl FieldLocation {
    /// Parses `header:NAME`, `/pointer`, `json:/pointer`, `^/pointer` or `form:FIELD`. `at` is the
    /// JSON pointer of the key that holds the text; an error carries it.
    ///
    /// # Errors
    /// [`SchemeError`] for any other text.
    ///
    /// ```
    /// use hookward_core::scheme::FieldLocation;
    ///
    /// let location = FieldLocation::parse("header:X-Event", "/event_type")?;
    /// assert_eq!(location, FieldLocation::Header("x-event".to_owned()));
    /// assert!(FieldLocation::parse("type", "/event_type").is_err());
    /// # Ok::<(), hookward_core::scheme::SchemeError>(())
    /// ```
    pub fn parse(text: &str, at: &str) -> Result<Self, SchemeError> {
        let after = |kind: &str| text.strip_prefix(kind).filter(|name| !name.is_empty());
        if let Some(name) = after("header:") {
            if http::HeaderName::from_bytes(name.as_bytes()).is_err() {
                return Err(SchemeError::new(at, format!("`{name}` is not a header name")));
            }
            Ok(Self::Header(name.to_ascii_lowercase()))
        } else if let Some(field) = after("form:") {
            Ok(Self::Form(field.to_owned()))
        } else if text.starts_with('/') {
            Ok(Self::Pointer(text.to_owned()))
        } else if let Some(pointer) = after("json:").or(after("^")).filter(|p| p.starts_with('/')) {
            Ok(Self::Root(pointer.to_owned()))
        } else {
            Err(SchemeError::new(
                at,
                format!(
                    "`{text}` is not a place in a request; write /pointer, header:NAME or form:FIELD"
                ),
            ))
        }
    }

    /// Whether the body must be parsed as JSON to read the value.
    pub(crate) fn reads_json(&self) -> bool {
        matches!(self, Self::Pointer(_) | Self::Root(_))
    }

    /// The value in a proven delivery; `item` is the event's item of a batch, or the body. `None`
    /// for an empty text and for anything but a string and an integer.
    pub(crate) fn read(&self, delivery: &Verified, item: Option<ExactJson<'_>>) -> Option<String> {
        let found = match self {
            Self::Header(name) => delivery.header(name).map(str::to_owned),
            Self::Form(field) => body_form_value(delivery.body(), field).ok().flatten(),
            Self::Root(pointer) => identifier_text(delivery.exact_json().ok()?.pointer(pointer)?),
            Self::Pointer(pointer) => identifier_text(item?.pointer(pointer)?),
        };
        found.filter(|text| !text.is_empty())
    }
}

impl FieldLocation {
    /// The value by which the proof of a delivery is told from others. Read as the proof is read:
    /// else a captured proof in a body that is read in two ways would count as another one.
    pub(crate) fn read_for_proof(&self, delivery: &Verified) -> Option<String> {
        match self {
            Self::Pointer(pointer) | Self::Root(pointer) => {
                let json = delivery.body().json_for_proof().ok()?;
                identifier_text(json.exact().pointer(pointer)?).filter(|text| !text.is_empty())
            }
            Self::Header(_) | Self::Form(_) => self.read(delivery, None),
        }
    }
}

/// The text of a value that identifies something. An integer keeps all its digits, whatever its
/// size. A number with a fraction or an exponent identifies nothing: one number has many such texts.
fn identifier_text(value: ExactJson<'_>) -> Option<String> {
    match value.value() {
        Value::Number(_) => {
            let text = value.number_text()?;
            let digits = text.strip_prefix('-').unwrap_or(&text);
            digits.bytes().all(|b| b.is_ascii_digit()).then(|| text.into_owned())
        }
        _ => scalar_text(value),
    }
}

/// A string as it is, a number in decimal with all its digits; `None` for other values. Two numbers
/// never have the same text, so that no digit of a signed one can be changed.
fn scalar_text(value: ExactJson<'_>) -> Option<String> {
    match value.value() {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) => value.number_text().map(Cow::into_owned),
        _ => None,
    }
}

/// The body in which parts of a proof are looked for, or why it cannot be read.
#[derive(Clone, Copy)]
pub(super) enum BodyJson<'a> {
    /// No part of the proof is read from JSON.
    Unread,
    Read(ExactJson<'a>),
    Unreadable(&'a BodyError),
}

impl<'a> BodyJson<'a> {
    pub(super) fn new(read: Option<&'a Result<ProofJson<'_>, &'a BodyError>>) -> Self {
        match read {
            None => Self::Unread,
            Some(Ok(json)) => Self::Read(json.exact()),
            Some(Err(error)) => Self::Unreadable(error),
        }
    }

    /// The value. Where the body cannot be read, nobody can say whether the proof is in it, so it
    /// is not reported as missing.
    pub(super) fn read(self) -> Result<Option<ExactJson<'a>>, VerifyError> {
        match self {
            Self::Read(json) => Ok(Some(json)),
            Self::Unread => Ok(None),
            Self::Unreadable(error) => Err(VerifyError::unreadable_proof(error)),
        }
    }
}

/// The texts at a JSON pointer in which one segment may be `*`: one text for every item. `None`
/// where any of them is absent.
pub(super) fn texts_at_pointer(value: ExactJson<'_>, pointer: &str) -> Option<Vec<String>> {
    let Some((before, after)) = pointer.split_once("/*") else {
        return Some(vec![scalar_text(value.pointer(pointer)?)?]);
    };
    let items = value.pointer(before).filter(|list| list.value().is_array())?;
    items.items().map(|item| item.pointer(after).and_then(scalar_text)).collect()
}

/// The text at a JSON pointer, for a part of the signed message: missing and empty are errors, so
/// that a body without the field cannot be taken for one with an empty field.
pub(super) fn required_json_text(json: BodyJson<'_>, pointer: &str) -> Result<String, VerifyError> {
    let found = json.read()?.and_then(|json| json.pointer(pointer)).and_then(scalar_text);
    let found = found.filter(|text| !text.is_empty());
    found.ok_or_else(|| VerifyError::missing_signature(format!("{pointer} of the body")))
}
