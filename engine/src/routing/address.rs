//! Addresses of data in routes.yaml: `/a/b`, `header:NAME`, `event:type|id|source`.

use std::borrow::Cow;
use std::fmt;

use hookward_core::BodyError;
use serde_json::Value;

use crate::routing::subject::Subject;

/// Where a value of an event is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DataAddress {
    /// A JSON pointer into the body.
    Pointer(String),
    /// A kept header, lower-case.
    Header(String),
    /// The provider's type.
    EventType,
    /// The provider's id.
    EventId,
    /// The source's name.
    Source,
}

impl DataAddress {
    /// Reads the written form.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || {
            Err(format!(
                "`{text}` is no address of data; write a JSON pointer such as /data/object/id, header:NAME, event:type, event:id or event:source"
            ))
        };
        if text.starts_with('/') {
            return Ok(Self::Pointer(text.to_owned()));
        }
        match text.split_once(':') {
            Some(("header", name)) if !name.is_empty() && name.bytes().all(header_byte) => {
                Ok(Self::Header(name.to_ascii_lowercase()))
            }
            Some(("event", "type")) => Ok(Self::EventType),
            Some(("event", "id")) => Ok(Self::EventId),
            Some(("event", "source")) => Ok(Self::Source),
            _ => wrong(),
        }
    }

    /// The value there; `None` where there is none.
    pub fn get<'a>(&self, subject: &Subject<'a>) -> Result<Option<Cow<'a, Value>>, &'a BodyError> {
        let text = |t: &str| Some(Cow::Owned(Value::String(t.to_owned())));
        Ok(match self {
            Self::Pointer(pointer) => subject.body.json()?.pointer(pointer).map(Cow::Borrowed),
            Self::Header(name) => subject.header(name).and_then(text),
            Self::EventType => text(subject.event_type),
            Self::EventId => subject.event_id.and_then(text),
            Self::Source => text(subject.source),
        })
    }

    /// The text by which events are put in order: what stands there, or nothing.
    pub fn key(&self, subject: &Subject<'_>) -> Option<String> {
        let value = self.get(subject).ok().flatten()?;
        Some(value.as_str().map_or_else(|| value.to_string(), str::to_owned))
    }

    /// Whether it is outside of what most signatures cover.
    pub fn is_header(&self) -> bool {
        matches!(self, Self::Header(_))
    }
}

fn header_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b)
}

impl fmt::Display for DataAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pointer(p) => f.write_str(p),
            Self::Header(name) => write!(f, "header:{name}"),
            Self::EventType => f.write_str("event:type"),
            Self::EventId => f.write_str("event:id"),
            Self::Source => f.write_str("event:source"),
        }
    }
}
