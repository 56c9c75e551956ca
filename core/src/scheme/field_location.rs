//! Addresses of data within a request: a pointer into the body, a header, a form field.

use serde_json::Value;

use crate::scheme::form::form_value;
use crate::scheme::spec::SchemeError;
use crate::verify_error::VerifyError;

/// Where a text is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FieldLocation {
    /// A header, lower-case.
    Header(String),
    /// A JSON pointer into the body, or into the item of a batch.
    Pointer(String),
    /// A JSON pointer into the body, also in a batch.
    Root(String),
    /// A field of a form body.
    Form(String),
}

impl FieldLocation {
    /// Reads `header:NAME`, `/pointer`, `json:/pointer`, `^/pointer` or `form:FIELD`.
    pub fn parse(text: &str, at: &str) -> Result<Self, SchemeError> {
        let named = |kind: &str| text.strip_prefix(kind).filter(|name| !name.is_empty());
        if let Some(name) = named("header:") {
            if http::HeaderName::from_bytes(name.as_bytes()).is_err() {
                return Err(SchemeError::new(at, format!("`{name}` is not a header name")));
            }
            Ok(Self::Header(name.to_ascii_lowercase()))
        } else if let Some(field) = named("form:") {
            Ok(Self::Form(field.to_owned()))
        } else if text.starts_with('/') {
            Ok(Self::Pointer(text.to_owned()))
        } else if let Some(pointer) = named("json:").or(named("^")).filter(|p| p.starts_with('/')) {
            Ok(Self::Root(pointer.to_owned()))
        } else {
            Err(SchemeError::new(
                at,
                format!("`{text}` is no address; write /pointer, header:NAME or form:FIELD"),
            ))
        }
    }

    /// Whether the body has to be read as JSON for it.
    pub(crate) fn reads_json(&self) -> bool {
        matches!(self, Self::Pointer(_) | Self::Root(_))
    }

    /// The text there, in a proven delivery. Whole numbers of up to 64 bits are written out; other ones
    /// and an empty text are none.
    pub(crate) fn text(
        &self,
        delivery: &crate::prove::Verified,
        item: Option<&Value>,
    ) -> Option<String> {
        let found = match self {
            Self::Header(name) => delivery.header(name).map(str::to_owned),
            Self::Form(field) => form_value(delivery.body().bytes(), field).ok().flatten(),
            Self::Root(pointer) => name(delivery.json().ok()?.pointer(pointer)?),
            Self::Pointer(pointer) => name(item?.pointer(pointer)?),
        };
        found.filter(|text| !text.is_empty())
    }
}

/// What can be the name of something. A number with a fraction, or of over 64 bits, was rounded when
/// it was read: two that differ would be one.
fn name(value: &Value) -> Option<String> {
    if value.is_f64() { None } else { scalar(value) }
}

/// A string as it is, a number written out; nothing else is a text.
pub(crate) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The texts at a JSON pointer in which one segment may be `*`: all of them.
pub(crate) fn texts_at(value: &Value, pointer: &str) -> Option<Vec<String>> {
    let Some((before, after)) = pointer.split_once("/*") else {
        return Some(vec![scalar(value.pointer(pointer)?)?]);
    };
    let items = value.pointer(before)?.as_array()?;
    items.iter().map(|item| item.pointer(after).and_then(scalar)).collect()
}

/// A text of the body that must be there.
pub(super) fn json_text(json: Option<&Value>, pointer: &str) -> Result<String, VerifyError> {
    let found = json.and_then(|v| v.pointer(pointer)).and_then(scalar).filter(|t| !t.is_empty());
    found.ok_or_else(|| VerifyError::missing_signature(format!("{pointer} of the body")))
}
