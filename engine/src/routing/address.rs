//! Data addresses, the way in which `match` and `order_by` name a value of an event: `/a/b`,
//! `header:NAME`, `event:type`, `event:id`, `event:source`.

use std::borrow::Cow;
use std::fmt;

use hookward_core::BodyError;
use serde_json::Value;

use super::event_view::EventView;

/// The place of a value in an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DataAddress {
    /// A JSON pointer into the body.
    Pointer(String),
    /// A stored header, by its name in lower case.
    Header(String),
    /// The event type, in the provider's own words.
    EventType,
    /// The event id that the provider gave.
    EventId,
    /// The name of the source.
    Source,
}

impl DataAddress {
    /// Parses the form used in routes.yaml.
    ///
    /// # Errors
    /// What was found and what to write instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        let error = || {
            Err(format!(
                "`{text}` is not a data address; write a JSON pointer such as /data/object/id, header:NAME, event:type, event:id or event:source"
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
            _ => error(),
        }
    }

    /// Returns the value at this address; `None` where the event has none.
    ///
    /// # Errors
    /// Why the body cannot be parsed, for a pointer into it.
    pub fn get<'a>(&self, event: &EventView<'a>) -> Result<Option<Cow<'a, Value>>, &'a BodyError> {
        let text = |t: &str| Some(Cow::Owned(Value::String(t.to_owned())));
        Ok(match self {
            Self::Pointer(pointer) => event.body.json()?.pointer(pointer).map(Cow::Borrowed),
            Self::Header(name) => event.header(name).and_then(text),
            Self::EventType => text(event.event_type),
            Self::EventId => event.event_id.and_then(text),
            Self::Source => text(event.source),
        })
    }

    /// Returns the key by which `order_by` orders the event: the value as text. `None`, where the
    /// value or the body is missing, leaves the event unordered.
    pub fn order_key(&self, event: &EventView<'_>) -> Option<String> {
        let value = self.get(event).ok().flatten()?;
        Some(value.as_str().map_or_else(|| value.to_string(), str::to_owned))
    }

    /// Whether the value is a header, which most senders' signatures do not cover.
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
