//! Texts with a meaning: addresses, rates, globs, dates. Each is a type that reads itself, and a
//! `format` of the JSON Schema, so that a wrong one is found at its own place.

use std::borrow::Cow;
use std::net::SocketAddr;

use hookward_core::{ByteSize, HumanDuration, Timestamp};
use ipnet::IpNet;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

use crate::compiled;
use crate::routing;

/// Reads a text or says what is allowed.
type Check = fn(&str) -> Result<(), String>;

/// A text with a meaning.
pub(super) struct Format {
    /// Its name in the schema.
    pub(super) name: &'static str,
    /// What it is called in messages.
    pub(super) noun: &'static str,
    pub(super) check: Check,
}

const fn format(name: &'static str, noun: &'static str, check: Check) -> Format {
    Format { name, noun, check }
}

/// Every format with its check.
pub(super) const FORMATS: &[Format] = &[
    format("period", "a span of time", |t| HumanDuration::parse(t).map(drop)),
    format("period-above-zero", "a span of time", |t| above_zero(t).map(drop)),
    format("size", "a size", |t| ByteSize::parse(t).map(drop)),
    format("listen", "an IP address and a port", |t| listen(t).map(drop)),
    format("public-url", "scheme and host", |t| public_url(t).map(drop)),
    format("rate", "a rate", |t| compiled::Rate::parse(t).map(drop)),
    format("network", "an IP address or a network", |t| network(t).map(drop)),
    format("until", "a date", |t| until(t).map(drop)),
    format("event-glob", "SOURCE/TYPE", |t| routing::TypeGlob::parse(t).map(drop)),
    format("data-address", "an address of data", |t| routing::DataAddress::parse(t).map(drop)),
    format("expression", "an expression", |t| routing::Condition::compile(t).map(drop)),
    format("route-path", "an exact path", |t| path(t).map(drop)),
];

/// The format of a name.
pub(super) fn by_name(name: &str) -> Option<&'static Format> {
    FORMATS.iter().find(|f| f.name == name)
}

macro_rules! leaf {
    ($name:ident($parsed:ty), $format:literal, $parse:expr) => {
        #[derive(Debug)]
        pub(super) struct $name(pub(super) $parsed);

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = String::deserialize(d)?;
                $parse(&text).map(Self).map_err(de::Error::custom)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }
            fn inline_schema() -> bool {
                true
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "format": $format })
            }
        }
    };
}

leaf!(Span(std::time::Duration), "period", |t: &str| HumanDuration::parse(t).map(|p| p.0));
leaf!(SpanAboveZero(std::time::Duration), "period-above-zero", above_zero);
leaf!(Listen(SocketAddr), "listen", listen);
leaf!(PublicUrl(String), "public-url", public_url);
leaf!(RateText(compiled::Rate), "rate", compiled::Rate::parse);
leaf!(Network(IpNet), "network", network);
leaf!(Until(Timestamp), "until", until);
leaf!(Glob(routing::TypeGlob), "event-glob", routing::TypeGlob::parse);
leaf!(Address(routing::DataAddress), "data-address", routing::DataAddress::parse);
leaf!(Expression(routing::Condition), "expression", routing::Condition::compile);
leaf!(RoutePath(String), "route-path", path);

/// A number of bytes above zero.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct Bytes(pub(super) ByteSize);

impl JsonSchema for Bytes {
    fn schema_name() -> Cow<'static, str> {
        "Bytes".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "integer"], "minimum": 1, "format": "size" })
    }
}

/// Stands for a secret in the schema.
#[derive(Debug)]
pub(super) struct SecretText;

impl JsonSchema for SecretText {
    fn schema_name() -> Cow<'static, str> {
        "SecretText".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "writeOnly": true })
    }
}

fn above_zero(text: &str) -> Result<std::time::Duration, String> {
    match HumanDuration::parse(text)?.0 {
        span if span.is_zero() => {
            Err(format!("`{text}` is no time at all; write a span above zero, such as 30s"))
        }
        span => Ok(span),
    }
}

fn listen(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        format!("`{text}` is no address to listen on; write an IP address and a port, such as 127.0.0.1:8080, 0.0.0.0:8080 or [::1]:8080")
    })
}

fn public_url(text: &str) -> Result<String, String> {
    let wrong = |why: &str| {
        format!(
            "`{text}` {why}; write scheme and host as senders call them, such as https://hooks.example.com"
        )
    };
    let uri: http::Uri = text.parse().map_err(|_| wrong("is no URL"))?;
    let authority = uri.authority().filter(|_| matches!(uri.scheme_str(), Some("http" | "https")));
    let authority = authority.ok_or_else(|| wrong("is no URL"))?;
    if authority.as_str().contains('@') {
        return Err(wrong("has a user name in it"));
    }
    if !matches!(uri.path(), "" | "/") || uri.query().is_some() || text.contains('#') {
        return Err(wrong("has a path or a query; paths come from the sources"));
    }
    Ok(text.trim_end_matches('/').to_owned())
}

fn network(text: &str) -> Result<IpNet, String> {
    text.parse().or_else(|_| text.parse::<std::net::IpAddr>().map(IpNet::from)).map_err(|_| {
        format!("`{text}` is no IP address or network; write one such as 203.0.113.7, 10.0.0.0/8 or 2001:db8::/32")
    })
}

fn until(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse_end_of_date(text).or_else(|| Timestamp::parse_rfc3339(text)).ok_or_else(|| {
        format!("`{text}` is no date; write 2026-12-31, which ends with that day in UTC, or a time such as 2026-12-31T12:00:00Z")
    })
}

fn path(text: &str) -> Result<String, String> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=:@%".contains(&b);
    let why = if !text.starts_with('/') {
        "does not start with `/`"
    } else if text == "/health" {
        "is taken by the health page"
    } else if text.len() == 1 {
        "is the root"
    } else if text.contains("//") || text.split('/').any(|s| matches!(s, "." | "..")) {
        "has an empty or relative segment"
    } else if text.contains("/:") || text.contains("/*") {
        // Routers of apps read these as patterns, and refuse them with a panic.
        "has a segment that starts with `:` or `*`"
    } else if !text.bytes().all(plain) {
        "has a character that a path cannot have"
    } else {
        return Ok(text.to_owned());
    };
    Err(format!("`{text}` {why}; write an exact path such as /hooks/stripe"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_url_has_no_path() {
        assert_eq!(public_url("https://h.example/"), Ok("https://h.example".to_owned()));
        for wrong in ["h.example", "ftp://h", "https://h/x", "https://h?x", "https://u@h", "/x"] {
            assert!(public_url(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_exact_path_is_taken_and_others_are_not() {
        assert!(path("/hooks/stripe").is_ok());
        for wrong in ["hooks", "/", "/health", "/a//b", "/a/../b", "/a b", "/a?b", "/a/:b", "/*"] {
            assert!(path(wrong).is_err(), "{wrong}");
        }
    }
}
