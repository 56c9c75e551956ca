//! Data addresses, the way in which `match` and `order_by` name a value of an event: `/a/b`,
//! `header:NAME`, `event:type`, `event:id`, `event:source`, `tls:client_subject`, `tls:client_san`.

use std::fmt;

use hookward_core::{BodyError, ExactJson, TLS_CLIENT_SAN, TLS_CLIENT_SUBJECT};
use serde_json::{Number, Value};

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
    /// The subject of the client's certificate.
    ClientSubject,
    /// The alternative names of the client's certificate.
    ClientNames,
}

/// A value of an event.
#[derive(Debug, Clone, Copy)]
pub enum DataValue<'a> {
    /// A value of the body.
    Json(ExactJson<'a>),
    /// A header, type, id or source.
    Text(&'a str),
    /// The alternative names of a certificate, joined by
    /// [`joined_names`](hookward_core::ClientCertificate::joined_names).
    Names(&'a str),
}

impl<'a> DataValue<'a> {
    /// The value as text; `None` for one that is not text.
    pub fn as_str(self) -> Option<&'a str> {
        match self {
            Self::Json(json) => json.value().as_str(),
            Self::Text(text) | Self::Names(text) => Some(text),
        }
    }

    /// The value as a key: text as it is, an equal number always as the same text, and other JSON as
    /// JSON.
    pub(crate) fn to_text(self) -> String {
        match self {
            Self::Text(text) | Self::Names(text) => text.to_owned(),
            Self::Json(json) => match json.value() {
                Value::String(text) => text.clone(),
                Value::Number(number) => number_key(json, number),
                _ => json.to_string(),
            },
        }
    }
}

impl DataAddress {
    /// Parses the form used in routes.yaml.
    ///
    /// # Errors
    /// What was found and what to write instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        let error = || {
            Err(format!(
                "`{text}` is not a data address; write a JSON pointer such as /data/object/id, header:NAME, event:type, event:id, event:source, tls:client_subject or tls:client_san"
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
            Some(("tls", "client_subject")) => Ok(Self::ClientSubject),
            Some(("tls", "client_san")) => Ok(Self::ClientNames),
            _ => error(),
        }
    }

    /// Returns the value at this address; `None` where the event has none.
    ///
    /// # Errors
    /// Why the body cannot be parsed, for a pointer into it.
    pub fn get<'a>(&self, event: &EventView<'a>) -> Result<Option<DataValue<'a>>, &'a BodyError> {
        Ok(match self {
            Self::Pointer(pointer) => event.json()?.pointer(pointer).map(DataValue::Json),
            Self::Header(name) => event.header(name).map(DataValue::Text),
            Self::EventType => Some(DataValue::Text(event.event_type)),
            Self::EventId => event.event_id.map(DataValue::Text),
            Self::Source => Some(DataValue::Text(event.source)),
            Self::ClientSubject => event.header(TLS_CLIENT_SUBJECT).map(DataValue::Text),
            Self::ClientNames => event.header(TLS_CLIENT_SAN).map(DataValue::Names),
        })
    }

    /// Returns the key by which `order_by` orders the event: the value as text. Equal numbers have one
    /// key, however they are written, and different ones have different keys. `None`, where the
    /// value or the body is missing, leaves the event unordered.
    pub fn order_key(&self, event: &EventView<'_>) -> Option<String> {
        self.get(event).ok().flatten().map(DataValue::to_text)
    }

    /// Whether the value is of the client's certificate.
    pub fn is_client_certificate(&self) -> bool {
        matches!(self, Self::ClientSubject | Self::ClientNames)
    }

    /// Whether the value is a header, which most senders' signatures do not cover.
    pub fn is_header(&self) -> bool {
        matches!(self, Self::Header(_))
    }
}

/// The shortest text of a number: `100` for `100`, `1e2` and `100.0`.
fn number_key(json: ExactJson<'_>, number: &Number) -> String {
    // Beyond, an `f64` prints in scientific notation or is rounded. Adding zero removes the sign of
    // -0.
    const MAX_PLAIN: f64 = 9_007_199_254_740_992.0;
    if json.is_rounded_number() {
        return json.number().unwrap_or_else(|| number.into()).to_string();
    }
    match number.as_f64().filter(|_| number.is_f64()) {
        Some(value) if value.fract() == 0.0 && value.abs() < MAX_PLAIN => {
            format!("{:.0}", value + 0.0)
        }
        _ => number.to_string(),
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
            Self::ClientSubject => f.write_str(TLS_CLIENT_SUBJECT),
            Self::ClientNames => f.write_str(TLS_CLIENT_SAN),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routing::EvaluationBudget;
    use hookward_core::Body;

    fn order_key(value: &str) -> String {
        let body = Body::new(format!(r#"{{"n":{value}}}"#));
        let budget = EvaluationBudget::default();
        let event = EventView::new("s", "t", None, &[], &body, &budget);
        DataAddress::parse("/n").unwrap().order_key(&event).unwrap()
    }

    #[test]
    fn a_number_has_one_order_key_however_it_is_written() {
        for (key, texts) in [
            ("100", vec!["100", "1e2", "100.0", "1000e-1"]),
            ("-5", vec!["-5", "-5.0"]),
            ("1.5", vec!["1.5", "1.50", "15e-1"]),
            ("abc", vec!["\"abc\""]),
            ("null", vec!["null"]),
        ] {
            texts.iter().for_each(|text| assert_eq!(order_key(text), key, "{text}"));
        }
        assert_eq!(order_key("0"), order_key("-0.0"));
        assert_eq!(order_key("18446744073709551617"), order_key("1.8446744073709551617e19"));
        for (a, b) in [
            ("9007199254740993", "9007199254740992"),
            ("18446744073709551617", "18446744073709551616"),
            ("0.1", "0.10000000000000000001"),
        ] {
            assert_ne!(order_key(a), order_key(b));
        }
    }
}
